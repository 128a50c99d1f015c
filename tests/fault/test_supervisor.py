"""The supervisor dies at any moment, and nobody who has a container notices."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess

import pytest

from firkin.container import record
from firkin.container.record import Exited
from firkin.engine import supervised
from firkin.process.spec import ExitStatus
from firkin.pytest.command import FIRKIN
from firkin.pytest.leaks import SUPERVISOR, processes_of, wait_until_gone
from tests.unit.supervisor.test_activation import activated, systemds

pytestmark = pytest.mark.machine


def supervisors(home):
    """The pids of the supervisors of `home`."""
    return [found.pid for found in processes_of(str(home.root)) if SUPERVISOR in found.command]


def kill_supervisor(home):
    (pid,) = supervisors(home)
    os.kill(pid, signal.SIGKILL)
    wait_until_gone([pid], 30)


def test_a_killed_supervisor_costs_no_byte_of_output(firkin, stocked, settings):
    last = 300_000
    firkin("run", "-d", "--name", "count", "busybox", "sh", "-c", f"seq {last}; exec sleep 1000", check=True)
    for _ in range(4):
        kill_supervisor(stocked)
        assert firkin("exec", "count", "echo", "here").stdout == "here\n"
    with systemds(settings) as sock, activated(settings, sock) as started:  # in the last one's place
        asyncio.run(supervised.wake(settings))
        assert supervisors(stocked) == [started.pid]
        assert firkin("exec", "count", "echo", "here").stdout == "here\n"
    follower = subprocess.Popen(
        [*FIRKIN, "logs", "-f", "count"], stdout=subprocess.PIPE, env=firkin.environ, cwd=firkin.cwd
    )
    seen = b""
    while not seen.endswith(f"\n{last}\n".encode()):
        seen += follower.stdout.read1()
        if len(seen) % 7 == 0 and len(supervisors(stocked)) == 1 and len(seen) < 500_000:
            kill_supervisor(stocked)
    assert seen == b"".join(b"%d\n" % n for n in range(1, last + 1))
    firkin("rm", "-f", "count", check=True)
    assert follower.wait(30) == 0
    follower.stdout.close()


def test_a_container_that_ends_while_nobody_owns_it_is_asked_later(firkin, stocked):
    script = "echo begun; while [ ! -e /go ]; do sleep 0.1; done; echo bye; exit 7"
    firkin("run", "-d", "--name", "brief", "busybox", "sh", "-c", script, check=True)
    firkin("exec", "-d", "brief", "sh", "-c", "sleep 1; touch /go", check=True)
    kill_supervisor(stocked)
    assert firkin("wait", "brief").stdout == "7\n"
    assert firkin("logs", "brief").stdout == "begun\nbye\n"
    firkin("rm", "brief", check=True)


def test_a_machine_that_dies_unowned_is_told_and_removed(firkin, stocked, settings):
    firkin("run", "-d", "--name", "lost", "busybox", "sleep", "1000", check=True)
    found = record.find(settings.paths, "lost")
    vmm = found.state().pid
    kill_supervisor(stocked)
    os.kill(vmm, signal.SIGKILL)
    wait_until_gone([vmm], 30)
    assert firkin("wait", "lost").stdout == "255\n"
    assert "Exited (255)" in firkin("ps", "-a").stdout
    firkin("rm", "lost", check=True)
    assert list(record.records(settings.paths)) == []


def test_a_machine_whose_supervisor_dies_when_its_container_has_ended_is_ended(firkin, stocked, settings):
    firkin("run", "-d", "--name", "over", "busybox", "sleep", "1000", check=True)
    found = record.find(settings.paths, "over")
    state = found.state()
    kill_supervisor(stocked)
    found.set_exited(Exited(status=ExitStatus(code=3), finished_ns=2, started_ns=state.started_ns))
    firkin("start", "over", check=True)  # it is in nobody's way
    assert firkin("exec", "over", "echo", "here").stdout == "here\n"
    firkin("rm", "-f", "over", check=True)
    wait_until_gone([state.pid], 30)


def test_two_who_need_a_supervisor_at_once_get_one(firkin, stocked):
    starting = [
        subprocess.Popen(
            [*FIRKIN, "run", "-d", "--name", name, "busybox", "sleep", "1000"],
            env=firkin.environ,
            cwd=firkin.cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name in ("one", "two", "three")
    ]
    for each in starting:
        _, complaint = each.communicate(timeout=120)
        assert each.returncode == 0, complaint
    assert len(supervisors(stocked)) == 1
    firkin("rm", "-f", "one", "two", "three", check=True)


def test_a_container_that_cannot_start_leaves_nothing_and_says_why(firkin, stocked, settings):
    ended = firkin("run", "-d", "--name", "bad", "busybox", "no-such-command")
    assert ended.status == 127
    assert "no-such-command" in ended.stderr
    assert list(record.records(settings.paths)) == []
    firkin("run", "--rm", "--name", "bad", "busybox", "true", check=True)


def test_a_machine_left_by_a_half_done_start_is_ended(firkin, stocked, settings):
    firkin("run", "-d", "--name", "half", "busybox", "sleep", "1000", check=True)
    found = record.find(settings.paths, "half")
    kill_supervisor(stocked)
    (found.dir / "state.json").write_text('{"is": "created"}')
    firkin("rm", "-f", "half", check=True)
    assert not [left for left in processes_of(str(stocked.root)) if "guest=half" in left.command]
    assert list(record.records(settings.paths)) == []


def test_a_supervisor_killed_in_the_middle_of_a_start_is_replaced_and_the_start_done_anew(firkin, stocked):
    argv = [*FIRKIN, "run", "-d", "--name", "anew", "busybox", "sh", "-c", "echo begun; exec sleep 1000"]
    starting = subprocess.Popen(argv, env=firkin.environ, cwd=firkin.cwd, stdout=subprocess.PIPE)
    machine = "guest=anew"
    while not any(machine in found.command for found in processes_of(str(stocked.root))):
        assert starting.poll() is None
    kill_supervisor(stocked)
    said, _ = starting.communicate(timeout=120)
    assert starting.returncode == 0
    assert len(said) == 65
    follower = subprocess.Popen(
        [*FIRKIN, "logs", "-f", "anew"], stdout=subprocess.PIPE, env=firkin.environ, cwd=firkin.cwd
    )
    assert follower.stdout.readline() == b"begun\n"
    assert len([found for found in processes_of(str(stocked.root)) if machine in found.command]) == 1
    firkin("rm", "-f", "anew", check=True)
    assert follower.wait(30) == 0
    follower.stdout.close()
