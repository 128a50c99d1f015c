"""What a restart policy promises, whoever dies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

import pytest

from firkin.container import record
from firkin.container.record import Exited, Record, Running
from firkin.engine.tidy import tidy_all
from firkin.pytest.command import FIRKIN, Command
from firkin.pytest.home import Home
from firkin.pytest.leaks import SUPERVISOR, processes_of, wait_until_gone
from firkin.settings import Settings

pytestmark = pytest.mark.machine

COUNTS = "echo up >> /ups; sync; echo started $(grep -c up /ups); "
STAYS = COUNTS + "exec sleep inf"


def kill_supervisor(home: Home) -> None:
    (pid,) = (found.pid for found in processes_of(str(home.root)) if SUPERVISOR in found.command)
    os.kill(pid, signal.SIGKILL)
    wait_until_gone([pid], 30)


def until(firkin: Command, line: str) -> None:
    """Wait until the log of the container says `line`: the log goes on over all of its starts."""
    with subprocess.Popen(
        [*FIRKIN, "logs", "-f", "box"], stdout=subprocess.PIPE, env=firkin.environ, cwd=firkin.cwd, text=True
    ) as following:
        assert following.stdout is not None
        try:
            for said in following.stdout:
                if said == f"{line}\n":
                    return
            raise AssertionError(f"it ended without {line!r}")
        finally:
            following.kill()


def inspected(firkin: Command, form: str) -> str:
    return firkin("inspect", "-f", form, "box", check=True).stdout.strip()


def test_it_is_started_again_as_often_as_its_policy_says(firkin: Command, stocked: Home) -> None:
    fails = COUNTS + "exit 3"
    firkin(
        "run", "-d", "--name", "box", "--restart", "on-failure:2", "busybox", "sh", "-c", fails, check=True
    )
    logs = firkin("logs", "-f", "box", check=True)  # to its last end
    assert logs.stdout == "started 1\nstarted 2\nstarted 3\n", "on its disk"
    assert inspected(firkin, "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}") == "exited 3 2"
    policy = "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}"
    assert inspected(firkin, policy) == "on-failure 2"
    firkin("start", "box", check=True)
    assert firkin("logs", "-f", "box").stdout.splitlines()[-1] == "started 6", "somebody's start counts anew"
    firkin("rm", "box", check=True)


def test_one_that_is_to_go_on_does_whoever_dies_until_somebody_stops_it(
    firkin: Command, stocked: Home, settings: Settings
) -> None:
    firkin("run", "-d", "--name", "box", "--restart", "always", "busybox", "sh", "-c", STAYS, check=True)
    until(firkin, "started 1")
    found = record.find(settings.paths, "box")

    # its machine dies
    state = found.state()
    assert isinstance(state, Running)
    os.kill(state.pid, signal.SIGKILL)
    until(firkin, "started 2")
    assert inspected(firkin, "{{.RestartCount}}") == "1"

    # the host is booted anew: supervisor, machine and run directory are gone
    state = found.state()
    assert isinstance(state, Running)
    kill_supervisor(stocked)
    os.kill(state.pid, signal.SIGKILL)
    wait_until_gone([state.pid], 30)
    shutil.rmtree(stocked.run_dir)
    tidy_all(settings.paths)
    assert inspected(firkin, "{{.State.Status}} {{.State.Restarting}}") == "restarting true"
    assert firkin("ps", "--format", "{{.Status}}").stdout.startswith("Restarting (255) ")
    refused = firkin("rm", "box")
    assert refused.status == 125
    assert "about to be started again" in refused.stderr
    assert firkin("prune", "-f", check=True)
    until(firkin, "started 3")  # the next supervisor goes on

    # its supervisor dies in the middle of starting it again
    state = found.state()
    assert isinstance(state, Running)
    os.kill(state.pid, signal.SIGKILL)
    while not machines(stocked) - {state.pid}:
        assert supervised(stocked)
    kill_supervisor(stocked)
    until(firkin, "started 4")

    # its own end, with no process of it left
    firkin("exec", "-d", "box", "kill", "1", check=True)
    firkin("stop", "-t", "0", "box", check=True)
    assert inspected(firkin, "{{.State.Status}}") == "exited"
    kill_supervisor(stocked)
    firkin("run", "-d", "--name", "other", "busybox", "sleep", "inf", check=True)  # another supervisor
    assert inspected(firkin, "{{.State.Status}}") == "exited", "which somebody stopped"

    # but for always, when the host was booted since
    kill_supervisor(stocked)
    ended = found.state()
    assert isinstance(ended, Exited)
    with found.own():
        age(found, ended)
    firkin("exec", "other", "true", check=True)  # another supervisor
    until(firkin, "started 5")
    firkin("rm", "-f", "box", "other", check=True)


def machines(home: Home) -> set[int]:
    return {each.pid for each in processes_of(str(home.root)) if "guest=box" in each.command}


def supervised(home: Home) -> bool:
    return any(SUPERVISOR in each.command for each in processes_of(str(home.root)))


def age(found: Record, ended: Exited) -> None:
    """Let it have ended in another year."""
    import msgspec

    found.set_again(msgspec.structs.replace(ended, finished_ns=ended.finished_ns - 365 * 24 * 3600 * 10**9))


def test_a_start_that_fails_is_tried_again_and_can_be_called_off(
    firkin: Command, stocked: Home, settings: Settings
) -> None:
    policy = ("--restart", "unless-stopped")
    firkin("run", "-d", "--name", "box", *policy, "busybox", "sh", "-c", STAYS, check=True)
    until(firkin, "started 1")
    found = record.find(settings.paths, "box")
    key = settings.paths.rootfs_dir / found.spec().rootfs_key
    key.rename(key.with_suffix(".away"))
    state = found.state()
    assert isinstance(state, Running)
    os.kill(state.pid, signal.SIGKILL)
    deadline = time.monotonic() + 120
    while inspected(firkin, "{{.RestartCount}}") < "3":
        assert time.monotonic() < deadline
    assert "could not be started again" in inspected(firkin, "{{.State.Error}}")
    assert firkin("stop", "box").status == 0
    count = inspected(firkin, "{{.State.Status}} {{.RestartCount}}")
    assert count.startswith("exited ")
    key.with_suffix(".away").rename(key)
    firkin("start", "box", check=True)
    until(firkin, "started 2")
    assert inspected(firkin, "{{.State.Status}} {{.RestartCount}}") == "running 0"
    firkin("kill", "box", check=True)
    assert firkin("wait", "box").stdout == "137\n"
    assert inspected(firkin, "{{.State.Status}}") == "exited", "a kill is somebody's will"
    firkin("rm", "box", check=True)


def test_what_contradicts_a_policy_is_refused_before_anything_is_made(firkin: Command, stocked: Home) -> None:
    for words, complaint in (
        (("--rm", "--restart", "always"), "restart: always starts a container again that --rm removes"),
        (("--restart", "sometimes"), "restart: 'sometimes' is not a restart policy"),
        (("--restart", "on-failure:-1"), "restart: '-1' is not a number of retries"),
    ):
        refused = firkin("run", "-d", *words, "busybox", "true")
        assert (refused.status, complaint in refused.stderr) == (125, True), refused.stderr
    assert firkin("ps", "-aq").stdout == ""


async def test_a_container_that_ends_with_its_engine_has_none(stocked: Home, settings: Settings) -> None:
    import firkin

    async with firkin.AsyncEngine(settings) as engine:
        with pytest.raises(firkin.UsageError, match="restart: always is for detached containers"):
            await engine.run("busybox", ["true"], restart="always", auto_remove=False)
        with pytest.raises(firkin.UsageError, match="restart: always"):
            engine.pool("busybox", ["true"], restart="always")
