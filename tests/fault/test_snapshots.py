"""Whoever saves or restores a machine is killed: containers go on, and nothing half made is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from firkin.pytest.command import Command
from firkin.pytest.home import Home
from firkin.pytest.leaks import SUPERVISOR, processes_of, wait_until_gone

pytestmark = pytest.mark.machine

COUNTER = "i=0; while :; do i=$((i+1)); echo $i; echo $i > /count; sleep 0.2; done"
DYING = """
import asyncio, os, signal, sys
from firkin.container.record import find
from firkin.engine import snapshots
from firkin.engine.engine import Engine
from firkin.engine.heir import Wishes
from firkin.engine.owner import OwnedContainer
from firkin.events import subscribed
from firkin.machine.qemu.machine import Machine
from firkin.settings import Settings
from firkin.snapshot.record import Making

moment, settings = sys.argv[1], Settings.load()

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def heard(event):
    if moment == f"{event.phase} {event.name}":
        die()

def dying_after(function):
    async def call(*args):
        await function(*args)
        die()
    return call

if moment == "stopped":
    Machine.pause = dying_after(Machine.pause)
if moment == "switched":
    Machine.switch_overlay = dying_after(Machine.switch_overlay)
if moment == "before the commit":
    Making.commit = die
if moment == "after the commit":
    snapshots.stand_on = die
"""
SAVE = (
    DYING
    + """
async def main():
    record = find(settings.paths, "box")
    container = OwnedContainer.adopt(record, record.own(), record.state(), settings=settings)
    await container.start()
    with subscribed(heard):
        await (container.suspend() if sys.argv[2] == "suspend" else container.snapshot("kept"))

asyncio.run(main())
"""
)
RESTORE = (
    DYING
    + """
async def main():
    async with Engine(settings) as engine:
        with subscribed(heard):
            await engine.restore("kept", Wishes(name="heir", detached=False))

asyncio.run(main())
"""
)


def killed_in(program: str, firkin: Command, *words: str) -> None:
    ended = subprocess.run([sys.executable, "-c", program, *words], env=firkin.environ, timeout=100)
    assert ended.returncode == -signal.SIGKILL


def kill_supervisor(home: Home) -> None:
    (pid,) = [found.pid for found in processes_of(str(home.root)) if SUPERVISOR in found.command]
    os.kill(pid, signal.SIGKILL)
    wait_until_gone([pid], 30)


def counts_on(firkin: Command) -> None:
    """It goes on to count, and its log has every number once."""
    before = len(firkin("logs", "box", check=True).stdout.split())
    script = f"until [ $(cat /count) -gt {before} ]; do sleep 0.2; done"
    firkin("exec", "box", "sh", "-c", script, check=True)
    numbers = list(map(int, firkin("logs", "box", check=True).stdout.split()))
    assert numbers == list(range(1, len(numbers) + 1))


def half_made(home: Home) -> list[str]:
    """What nobody lists and nobody is at."""
    found = [*(home.data_dir / "snapshots").glob(".*"), *(home.data_dir / "containers").glob(".*")]
    return [path.name for path in found]


@pytest.mark.parametrize(
    "moment",
    [
        "begin snapshot.take",
        "point machine.command",
        "stopped",
        "switched",
        "point machine.saved",
        "before the commit",
        "after the commit",
    ],
)
def test_an_owner_that_dies_while_it_saves_costs_nothing(firkin: Command, stocked: Home, moment: str) -> None:
    firkin("run", "-q", "-d", "--name", "box", "busybox", "sh", "-c", COUNTER, check=True)
    kill_supervisor(stocked)
    killed_in(SAVE, firkin, moment, "snapshot")
    counts_on(firkin)
    kept = "kept\n" if moment == "after the commit" else ""
    assert firkin("snapshot", "ls", "--format", "{{.Name}}").stdout == kept
    if not kept:
        firkin("snapshot", "create", "box", "kept", check=True)
    firkin("snapshot", "restore", "--name", "heir", "kept", check=True)
    assert firkin("exec", "heir", "cat", "/count").status == 0
    counts_on(firkin)
    firkin("rm", "-f", "box", "heir", check=True)
    firkin("snapshot", "rm", "kept", check=True)
    firkin("prune", "-f")
    assert half_made(stocked) == []
    assert list((stocked.data_dir / "disks").iterdir()) == []


@pytest.mark.parametrize("moment", ["stopped", "point machine.saved", "point container.suspended"])
def test_an_owner_that_dies_while_it_suspends_leaves_it_running_or_suspended(
    firkin: Command, stocked: Home, moment: str
) -> None:
    firkin("run", "-q", "-d", "--name", "box", "busybox", "sh", "-c", COUNTER, check=True)
    kill_supervisor(stocked)
    killed_in(SAVE, firkin, moment, "suspend")
    suspended = moment == "point container.suspended"
    firkin("resume", "box", check=True)
    counts_on(firkin)
    machines = [found for found in processes_of(str(stocked.root)) if "guest=box " in found.command]
    assert len(machines) == 1, "the saved machine must not live on beside the one that goes on"
    assert suspended or firkin("ps", "--format", "{{.State}}").stdout == "running\n"
    firkin("rm", "-f", "box", check=True)


@pytest.mark.parametrize("moment", ["end machine.start", "begin machine.restore", "end machine.restore"])
def test_whoever_dies_while_it_restores_leaves_nothing(firkin: Command, stocked: Home, moment: str) -> None:
    firkin("run", "-q", "-d", "--name", "box", "busybox", "sh", "-c", COUNTER, check=True)
    firkin("snapshot", "create", "box", "kept", check=True)
    killed_in(RESTORE, firkin, moment)
    firkin("run", "--rm", "busybox", "true", check=True)  # tidies
    assert firkin("ps", "-a", "--format", "{{.Names}}").stdout == "box\n"
    assert not [found for found in processes_of(str(stocked.root)) if "guest=heir" in found.command]
    assert len(list((stocked.run_dir / "c").iterdir())) == 1
    firkin("snapshot", "restore", "--name", "heir", "kept", check=True)
    firkin("rm", "-f", "box", "heir", check=True)


def test_a_machine_that_dies_while_it_is_saved_leaves_no_snapshot(firkin: Command, stocked: Home) -> None:
    firkin("run", "-q", "-d", "--name", "box", "busybox", "sh", "-c", COUNTER, check=True)
    saving = subprocess.Popen(
        [*firkin.program, "snapshot", "create", "box"],
        env=firkin.environ,
        cwd=firkin.cwd,
        stderr=subprocess.PIPE,
    )
    while not any("box-mirror" in found.command for found in processes_of(str(stocked.root))):
        assert saving.poll() is None
    (pid,) = [found.pid for found in processes_of(str(stocked.root)) if "guest=box " in found.command]
    os.kill(pid, signal.SIGKILL)
    saving.communicate(timeout=60)
    assert saving.returncode == 125
    assert firkin("snapshot", "ls", "-q").stdout == ""
    assert half_made(stocked) == []
    firkin("wait", "box")
    assert firkin("start", "box").status == 0
    firkin("rm", "-f", "box", check=True)
