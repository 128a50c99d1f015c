"""Control groups of containers in namespaces: limits by their effects, counts, freezing, leftovers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import firkin as api
from firkin.linux.cgroup.places import here
from firkin.pytest import leaks
from firkin.pytest.command import FIRKIN, Command
from firkin.pytest.home import Home, fresh_home
from firkin.settings import Settings
from tests.support.images import busybox_tar
from tests.support.user import User

pytestmark = pytest.mark.skipif(
    not {"cpu", "memory", "pids", "cpuset", "freezer"} <= here().dirs.keys(),
    reason="no control groups are ours to fill here",
)

APART = ("--isolation", "namespace", "--network", "none")
COUNTS = "i=0; while :; do i=$((i+1)); echo $i > /count; sleep 0.02; done"
LIMITS = {"memory": "32m", "cpus": 0.2, "pids_limit": 12, "cpuset_cpus": "0"}
BUSY = "exec 2>/dev/null; timeout 1 sh -c 'while :; do :; done'; times"
HOG = ["tail", "/dev/zero"]
"""Reads for the end of what has none, and keeps it all."""


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with fresh_home() as home:
        firkin = Command(FIRKIN, home.environ(), home.work_dir)
        firkin("import", "-", "busybox", input=busybox_tar(), check=True)
        yield home
        leaks.dismiss_supervisor(str(home.root))


@pytest.fixture(scope="module")
def firkin(home: Home) -> Command:
    return Command(FIRKIN, home.environ(), home.work_dir)


@pytest.fixture(scope="module")
def box(home: Home) -> Iterator[api.Container]:
    """A limited container."""
    words = {"isolation": "namespace", "network": "none", "name": "box", "detach": True, **LIMITS}
    with api.Engine(Settings.load(home.environ())) as engine:
        box = engine.run("busybox", ["sleep", "1000000"], **words)
        yield box
        box.remove(force=True)
    assert not list(groups_of(box.id))


def groups_of(container_id: str) -> Iterator[Path]:
    return (path for path in Path("/sys/fs/cgroup").rglob(f"firkin-{container_id[:12]}") if path.is_dir())


def sh(box: api.Container, script: str) -> list[str]:
    said = box.exec(["sh", "-c", script]).output(text=True, timeout=60)
    assert not said.stderr, said.stderr
    return said.stdout.split()


def test_its_processes_are_held_and_its_agent_is_not(box: api.Container) -> None:
    name = f"firkin-{box.id[:12]}"
    (inside,) = (int(pid) for pid in next(groups_of(box.id)).joinpath("cgroup.procs").read_text().split()[:1])
    assert name in Path(f"/proc/{inside}/cgroup").read_text()
    assert name not in Path(f"/proc/{box.inspect()['State']['Pid']}/cgroup").read_text()
    assert sh(box, "nproc") == ["1"]


def test_memory_is_taken_back_by_a_kill_that_is_told_from_others(box: api.Container) -> None:
    hog = box.exec(HOG).output(timeout=60).status
    assert hog == api.ExitStatus(signal=9, why="oom")
    assert box.exec(["sh", "-c", "kill -9 $$"]).output(timeout=60).status == api.ExitStatus(signal=9)
    assert box.stats().memory.oom_kills >= 1
    ran = box.exec(["sh", "-c", "exit 3"]).output(timeout=60).status
    assert ran == api.ExitStatus(code=3)


def test_processors_are_shared_by_its_quota(box: api.Container) -> None:
    before = box.stats()
    user = sh(box, BUSY)[2]  # of its children: 0m0.21s
    minutes, _, seconds = user.rstrip("s").partition("m")
    assert float(minutes) * 60 + float(seconds) < 0.6
    after = box.stats()
    assert after.cpu.throttled_periods > before.cpu.throttled_periods
    assert after.cpu.usage_us > before.cpu.usage_us


def test_more_processes_than_its_limit_are_refused_to_it(box: api.Container) -> None:
    said = box.exec(["sh", "-c", "for i in $(seq 20); do sleep 1000 >/dev/null 2>&1 & done; true"]).output(
        timeout=60
    )
    assert b"can't fork" in said.stderr
    assert len(box.top()) == box.stats().pids.current
    assert box.stats().pids.limit == 12
    sh(box, "killall sleep")


def test_what_it_uses_is_counted(box: api.Container) -> None:
    sh(box, "dd if=/dev/zero of=/dev/shm/file bs=1M count=8 2>/dev/null")
    usage = box.stats()
    assert usage.memory.limit_bytes == 32 << 20
    assert 8 << 20 <= usage.memory.current_bytes <= 32 << 20
    assert [each.name for each in usage.interfaces] == ["lo"]
    sh(box, "rm /dev/shm/file")


def test_limits_change_while_it_runs(box: api.Container, firkin: Command) -> None:
    sh(box, "dd if=/dev/zero of=/dev/shm/file bs=1M count=20 2>/dev/null")
    with pytest.raises(api.UsageError, match=r"^memory: .*'box' has more in use"):
        box.update(memory="10m", pids_limit=100)
    with pytest.raises(api.UsageError, match=r"^cpuset_cpus: this host has not all"):
        box.update(cpuset_cpus="4000")
    usage = box.stats()
    assert (usage.memory.limit_bytes, usage.pids.limit) == (32 << 20, 12), "all or nothing"
    sh(box, "rm /dev/shm/file")
    firkin("update", "--memory", "128m", "--pids-limit", "-1", "--cpus", "1", "box", check=True)
    sh(box, "dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null")
    host_config = json.loads(firkin("inspect", "box", check=True).stdout)[0]["HostConfig"]
    shown = [host_config[each] for each in ("Memory", "PidsLimit", "NanoCpus", "CpusetCpus")]
    assert shown == [128 << 20, None, 10**9, "0"]
    assert box.stats().pids.limit is None


def test_it_stands_still_while_it_is_paused_and_can_be_ended_then(box: api.Container, home: Home) -> None:
    counted = home.data_dir / "containers" / box.id / "upper/count"
    sh(box, f"({COUNTS}) >/dev/null 2>&1 & until [ -s /count ]; do sleep 0.01; done")
    box.pause()
    before = counted.read_bytes()
    (state,) = (path / "freezer.state" for path in groups_of(box.id) if (path / "freezer.state").exists())
    assert state.read_text() == "FROZEN\n"
    with pytest.raises(api.WrongState, match="paused"):
        box.exec(["true"]).output()
    assert counted.read_bytes() == before
    box.unpause()
    sh(box, f"until [ 0$(cat /count) -gt {int(before or 0)} ]; do sleep 0.01; done")
    box.pause()
    box.stop(0)
    assert not list(groups_of(box.id))
    box.start()
    assert box.stats().memory.limit_bytes == 128 << 20, "what was changed holds at its next start"
    box.pause()
    ours = leaks.processes_of(str(home.root))
    (supervisor,) = (found.pid for found in ours if leaks.SUPERVISOR in found.command)
    os.kill(supervisor, signal.SIGKILL)
    leaks.wait_until_gone([supervisor], 60)
    box.unpause()  # by the next one, which knows where it is
    assert sh(box, "echo on") == ["on"]
    box.pause()  # and is removed so


def test_its_end_for_want_of_memory_is_said_and_on_record(firkin: Command) -> None:
    ran = firkin("run", "--name", "hog", "-m", "16m", *APART, "busybox", *HOG)
    assert ran.status == 137
    assert "container hog ran out of memory" in ran.stderr
    state = json.loads(firkin("inspect", "hog", check=True).stdout)[0]["State"]
    assert (state["OOMKilled"], state["ExitReason"]) == (True, "oom")
    told = firkin("events", "--since", "1h", "--until", "0s", "--filter", "container=hog", "--format",
                  "{{.Action}}", check=True).stdout.split()  # fmt: skip
    assert told == ["create", "start", "oom", "die"]


def left_behind(firkin: Command) -> dict[str, Any]:
    """A container whose owner was killed, and which nobody has tidied."""
    owner = subprocess.Popen(
        [*firkin.program, "run", "--name", "front", *APART, "busybox", "sh", "-c", "echo up; sleep 1000"],
        env=firkin.environ, cwd=firkin.cwd, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"up\n"
    facts = json.loads(firkin("inspect", "front", check=True).stdout)[0]
    owner.kill()
    owner.wait()
    leaks.wait_until_gone([facts["State"]["Pid"]], 60)
    owner.stdout.close()
    assert list(groups_of(facts["Id"]))
    return facts


def test_what_a_killed_owner_leaves_the_next_run_removes(firkin: Command) -> None:
    facts = left_behind(firkin)
    firkin("run", "--rm", *APART, "busybox", "true", check=True)
    assert not list(groups_of(facts["Id"]))
    firkin("rm", "front", check=True)


def test_what_a_killed_owner_leaves_goes_with_the_container(firkin: Command) -> None:
    facts = left_behind(firkin)
    firkin("rm", "-f", "front", check=True)
    assert not list(groups_of(facts["Id"]))


@contextmanager
def delegated(user: User, *controllers: str) -> Iterator[list[str]]:
    """Groups of version 1 that root has given to `user`."""
    mine = {name: Path(path, f"of-{user.uid}") for name, path in here().dirs.items() if name in controllers}
    for group in mine.values():
        group.mkdir()
        os.chown(group, user.uid, user.gid)
        os.chown(group / "cgroup.procs", user.uid, user.gid)
    try:
        yield [str(group / "cgroup.procs") for group in mine.values()]
    finally:
        for group in mine.values():
            group.rmdir()


def test_a_user_is_held_where_groups_are_his_and_told_where_they_are_not(unprivileged: User) -> None:
    if os.geteuid() != 0 or here().version != 1:
        pytest.skip("needs root to give version 1 to a user")
    firkin = unprivileged.firkin
    firkin("import", "-", "busybox", input=busybox_tar(), check=True)
    limited = ("run", "--rm", *APART, "-m", "16m", "busybox", *HOG)
    refused = firkin(*limited)
    assert refused.status == 125
    assert "memory: nothing here holds container" in refused.stderr
    assert "firkin doctor --explain cgroups-undelegated" in refused.stderr
    assert firkin("ps", "-aq", check=True).stdout == ""
    firkin("run", "--rm", *APART, "busybox", "true", check=True)  # without limits it needs none
    with delegated(unprivileged, "memory", "pids") as joins:
        joining = "".join(f"echo $$ > {each};" for each in joins)
        program = ("sh", "-c", f'{joining} exec {firkin.program[0]} "$@"', "sh")
        inside = replace(firkin, program=program)
        ran = inside(*limited)
        assert (ran.status, "ran out of memory" in ran.stderr) == (137, True)
        refused = inside("run", "--rm", *APART, "--cpus", "0.5", "busybox", "true")
        assert "cpus: nothing here holds container" in refused.stderr
        assert "no such controller" in refused.stderr
