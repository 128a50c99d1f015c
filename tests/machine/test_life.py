"""A container's life in its steps: made, started, stopped, started again, renamed, waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from firkin.container import record
from firkin.container.record import Created, Exited
from firkin.pytest.command import FIRKIN, Command
from firkin.pytest.home import Home
from firkin.pytest.leaks import SUPERVISOR, processes_of, wait_until_gone
from firkin.settings import Settings

pytestmark = pytest.mark.machine

STAYS = "trap 'exit 7' TERM; echo up >> /ups; echo started; while :; do sleep 0.1; done"


@pytest.fixture
def busybox(firkin: Command, stocked: Home) -> Command:
    return firkin


def kill_supervisor(home: Home) -> None:
    (pid,) = (found.pid for found in processes_of(str(home.root)) if SUPERVISOR in found.command)
    os.kill(pid, signal.SIGKILL)
    wait_until_gone([pid], 30)


def begun(firkin: Command, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*FIRKIN, *words], stdout=subprocess.PIPE, env=firkin.environ, cwd=firkin.cwd, text=True
    )


def said(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=120)[0]


def watching(process: subprocess.Popen[str], containers: int) -> None:
    """Wait until it watches so many, so that nothing that happens from now on escapes it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        watches = 0
        for fd in Path(f"/proc/{process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                watches += os.readlink(fd) == "anon_inode:inotify"
        if watches == containers:
            return
        assert process.poll() is None
    raise AssertionError("it does not watch")


def status(firkin: Command) -> str:
    return firkin("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout


def test_a_container_is_made_started_renamed_restarted_and_waited_for(
    busybox: Command, stocked: Home, settings: Settings
) -> None:
    made = busybox("create", "--name", "box", "--rm", "busybox", "sh", "-c", STAYS, check=True)
    assert status(busybox) == "box created\n"
    busybox("run", "-d", "--name", "other", "busybox", "true", check=True)
    kill_supervisor(stocked)
    busybox("wait", "other", check=True)  # the next supervisor tidies
    assert status(busybox) == "other exited\nbox created\n"
    for refused in (["exec", "box", "true"], ["kill", "box"], ["wait", "box"]):
        complaint = busybox(*refused)
        assert complaint.status == 125, refused
        assert "never started" in complaint.stderr
        assert "firkin start box" in complaint.stderr

    removed = begun(busybox, "wait", "--condition", "removed", "box")
    watching(removed, 1)
    busybox("rename", "box", "site", check=True)
    assert busybox("start", "site", check=True).stdout == "site\n"
    assert busybox("exec", "site", "cat", "/ups").stdout == "up\n"

    next_exit = begun(busybox, "wait", "--condition", "next-exit", "site", "other")
    watching(next_exit, 2)
    busybox("rename", "site", "web", check=True)
    assert busybox("exec", "site", "true").status == 125
    assert busybox("rename", "web", "other").status == 125
    assert status(busybox) == "other exited\nweb running\n"
    assert busybox("restart", "-t", "60", "web", "other", check=True).stdout == "web\nother\n"
    assert said(next_exit) == "7\n0\n", "each ended once more"
    assert busybox("exec", "web", "cat", "/ups").stdout == "up\nup\n", "on its disk, though it has --rm"
    assert busybox("logs", "web").stdout == "started\nstarted\n"
    assert record.find(settings.paths, "web").id == made.stdout.strip()

    busybox("stop", "web", check=True)
    assert said(removed) == "7\n"
    assert status(busybox) == "other exited\n"
    busybox("rm", "other", check=True)


def test_a_created_container_whose_start_fails_stays_and_can_be_removed(
    busybox: Command, stocked: Home, settings: Settings
) -> None:
    busybox("create", "--name", "bad", "busybox", "no-such-command", check=True)
    started = busybox("start", "bad")
    assert "no-such-command" in started.stderr
    assert started.status == 127
    assert record.find(settings.paths, "bad").state() == Created(kept=True)
    assert busybox("rename", "bad", "worse").status == 0
    busybox("rm", "worse", check=True)
    assert status(busybox) == ""


def test_a_created_container_is_started_in_the_foreground_with_its_input(busybox: Command) -> None:
    busybox("create", "-i", "--name", "cat", "busybox", "sh", "-c", "cat; exit 4", check=True)
    ended = busybox("start", "-a", "-i", "cat", input="some words\n")
    assert (ended.stdout, ended.status) == ("some words\n", 4)
    busybox("rm", "cat", check=True)


def test_a_start_of_a_created_one_that_its_supervisor_does_not_survive_is_done_anew(
    busybox: Command, stocked: Home
) -> None:
    busybox("create", "--name", "anew", "busybox", "sh", "-c", STAYS, check=True)
    starting = begun(busybox, "start", "anew")
    while not any("guest=anew" in found.command for found in processes_of(str(stocked.root))):
        assert starting.poll() is None
    kill_supervisor(stocked)
    assert said(starting) == "anew\n"
    assert len([each for each in processes_of(str(stocked.root)) if "guest=anew" in each.command]) == 1
    busybox("rm", "-f", "anew", check=True)


async def test_from_python_too(stocked: Home, settings: Settings) -> None:
    import firkin

    async with firkin.AsyncEngine(settings) as engine:
        box = await engine.create("busybox", ["sh", "-c", STAYS], name="box")
        async with box:
            with pytest.raises(firkin.WrongState, match="never started"):
                await box.wait()
            with pytest.raises(firkin.UsageError, match="condition: 'dead' is not one of"):
                await box.wait(condition="dead")
            with pytest.raises(firkin.Timeout):
                await box.wait(0.2, condition="next-exit")
            await box.start()
            await box.rename("crate")
            assert box.name == "crate"
            await box.exec(["sh", "-c", "until [ -s /ups ]; do sleep 0.1; done"]).output(check=True)
            await box.restart()
            ups = "until [ $(wc -l < /ups) -gt 1 ]; do sleep 0.1; done; cat /ups"
            assert (await box.exec(["sh", "-c", ups]).output(text=True)).stdout == "up\nup\n"
            await box.stop(60)
            assert isinstance(record.find(settings.paths, "crate").state(), Exited)
            assert (await box.wait()).code == 7
    assert list(record.records(settings.paths)) == []
