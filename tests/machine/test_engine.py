"""Whole lives of containers: how they begin, how they end, and that nothing is left of them."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from firkin.container.record import Exited, Running
from firkin.engine.engine import Engine
from firkin.engine.owner import OwnedContainer
from firkin.engine.words import run_options
from firkin.errors import CommandNotFound, FirkinError, MachineDied, UsageError, WrongState
from firkin.events import Event, subscribed
from firkin.process.output import Output, output
from firkin.process.spec import ExitStatus
from firkin.pytest import leaks
from firkin.pytest.command import Command
from firkin.pytest.home import Home
from firkin.settings import Settings

pytestmark = pytest.mark.machine


@pytest.fixture
async def engine(settings: Settings, home: Home, busybox: Command) -> AsyncIterator[Engine]:
    """An engine with busybox, whose disk is built."""
    async with Engine(settings) as engine:
        yield engine
    assert nothing_runs(home)


def nothing_runs(home: Home) -> bool:
    """No process, no socket, no half record is left in `home`."""
    assert list((home.run_dir / "c").glob("*")) == []
    assert list((home.data_dir / "containers").glob(".*")) == []
    assert list(leaks.processes_of(str(home.root))) == []
    return True


def nothing_is_left(engine: Engine, home: Home) -> bool:
    """As if there never had been a container."""
    assert engine.containers(all=True) == []
    assert [path.name for path in (home.data_dir / "names").glob("*") if path.name != ".lock"] == []
    return nothing_runs(home)


async def started(engine: Engine, *command: str, **words: object) -> OwnedContainer:
    return await engine.run(run_options("busybox", command, **words))  # type: ignore[arg-type]


async def ended(engine: Engine, *command: str, **words: object) -> tuple[OwnedContainer, Output[bytes]]:
    container = await started(engine, *command, **words)
    said = await output(await container.attach(replay=True))
    return container, said


# --- orderly ends ------------------------------------------------------------------------------------------


async def test_a_container_that_removes_itself_leaves_its_output_and_nothing_else(
    engine: Engine, home: Home
) -> None:
    container, said = await ended(engine, "sh", "-c", "echo out; echo err >&2; exit 3", auto_remove=True)
    assert (said.status, said.stdout, said.stderr) == (ExitStatus(code=3), b"out\n", b"err\n")
    assert await container.wait() == ExitStatus(code=3)
    assert nothing_is_left(engine, home)
    again = await output(await container.attach(replay=True))
    assert again == said
    assert isinstance(container.state, Exited)
    with pytest.raises(WrongState):
        await container.kill(15)


async def test_a_container_that_stays_has_its_end_its_log_and_its_disk_on_record(
    engine: Engine, home: Home
) -> None:
    container, said = await ended(engine, "sh", "-c", "echo kept > /kept; echo said; exit 4", name="stays")
    assert await container.wait() == said.status == ExitStatus(code=4)
    assert nothing_runs(home)
    later = await engine.container("stays")
    state = later.state
    assert isinstance(state, Exited)
    assert (state.status, state.reason) == (said.status, "")
    assert [record.data async for record in later.logs()] == [b"said\n"]
    disk = home.data_dir / "containers" / container.id / "disk.qcow2"
    assert b"kept\n" in disk.read_bytes()
    await later.remove()
    assert nothing_is_left(engine, home)


async def test_locked_down_a_container_reaches_and_changes_nothing(engine: Engine, home: Home) -> None:
    script = "id -u; ip -o link | wc -l; touch /x || echo ro; touch /tmp/x && echo rw; cat /etc/hostname"
    container, said = await ended(
        engine, "-c", script, entrypoint="/bin/sh", auto_remove=True, network="none", read_only=True,
        tmpfs=["/tmp"], user="guest", hostname="alone",
    )  # fmt: skip
    assert said.stdout.decode().split() == ["1000", "1", "ro", "rw", "alone"], said
    await container.wait()


async def test_a_process_that_listens_to_its_stop_signal_ends_by_itself(engine: Engine) -> None:
    script = "trap 'exit 7' INT; echo ready; while :; do sleep 0.1; done"
    container = await started(engine, "sh", "-c", script, stop_signal="INT", auto_remove=True)
    process = await container.attach(replay=True)
    assert await process.stdout.read() == b"ready\n"
    await container.stop(60)
    assert await container.wait() == ExitStatus(code=7)
    await container.stop()  # legal in every state


async def test_a_process_that_does_not_listen_is_killed(engine: Engine, home: Home) -> None:
    container = await started(engine, "sleep", "1000", name="deaf")
    await container.stop(0.2)
    assert await container.wait() == ExitStatus(signal=9)
    assert isinstance((await engine.container("deaf")).state, Exited)


async def test_leaving_the_engine_ends_its_containers(engine: Engine, settings: Settings, home: Home) -> None:
    async with Engine(settings) as inner:
        kept = await started(inner, "sleep", "1000", name="kept")
        gone = await started(inner, "sleep", "1000", name="gone", auto_remove=True)
        assert {each.spec.name for each in engine.containers()} == {"kept", "gone"}
    assert await kept.wait() == await gone.wait() == ExitStatus(signal=9)
    assert [each.spec.name for each in engine.containers(all=True)] == ["kept"]
    with pytest.raises(WrongState, match="not open"):
        await started(inner, "true")


async def test_many_containers_live_at_once(engine: Engine, home: Home) -> None:
    lives = await asyncio.gather(
        *(ended(engine, "expr", str(n), "*", str(n), auto_remove=True) for n in range(4))
    )
    assert [int(said.stdout) for _, said in lives] == [0, 1, 4, 9]
    await asyncio.gather(*(container.wait() for container, _ in lives))
    assert nothing_is_left(engine, home)


async def test_a_life_that_is_over_leaves_no_descriptor_open(engine: Engine) -> None:
    before = None
    for _ in range(3):
        container, _ = await ended(engine, "true", auto_remove=True)
        await container.finished()
        del container
        gc.collect()
        now = len(os.listdir("/proc/self/fd"))
        assert before is None or now <= before
        before = now


# --- beginnings that fail ----------------------------------------------------------------------------------


async def test_a_command_that_is_not_there_leaves_nothing(engine: Engine, home: Home) -> None:
    with pytest.raises(CommandNotFound, match="no-such"):
        await started(engine, "no-such")
    assert nothing_is_left(engine, home)


async def test_a_user_that_is_not_there_leaves_nothing(engine: Engine, home: Home) -> None:
    with pytest.raises(UsageError, match="unknown user"):
        await started(engine, "true", user="stranger")
    assert nothing_is_left(engine, home)


STEPS = [
    ("rootfs", "begin"),
    ("machine.start", "begin"),
    ("machine.confined", "point"),
    ("machine.start", "end"),
    ("machine.restore", "begin"),
    ("machine.restore", "end"),
    ("container.start", "end"),
    ("output.first_byte", "point"),
    ("container.exited", "point"),
]


class Trap:
    """A subscriber that acts once, at one step."""

    def __init__(self, step: tuple[str, str], act: Callable[[], object]) -> None:
        self.step, self.act, self.seen = step, act, False

    def __call__(self, event: Event) -> None:
        if (event.name, event.phase) == self.step and not self.seen:
            self.seen = True
            self.act()


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS, ids=" ".join)
async def test_ctrl_c_at_any_moment_leaves_nothing(engine: Engine, home: Home, step: tuple[str, str]) -> None:
    async def run() -> None:
        container, _ = await ended(engine, "echo", "hi", auto_remove=True, disk="1g")
        await container.wait()

    trap = Trap(step, lambda: task.cancel())
    with subscribed(trap):
        task = asyncio.create_task(run())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert trap.seen
    await engine.__aexit__(None, None, None)
    assert nothing_is_left(engine, home)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS[1:], ids=" ".join)
async def test_a_fault_at_any_step_is_raised_and_leaves_nothing(
    engine: Engine, home: Home, step: tuple[str, str]
) -> None:
    def fail() -> None:
        raise FirkinError("a fault")

    async def live() -> None:
        container, _ = await ended(engine, "echo", "hi", auto_remove=True)
        await container.wait()

    with subscribed(Trap(step, fail)), pytest.raises(FirkinError, match="a fault"):
        await live()
    await engine.__aexit__(None, None, None)
    assert nothing_is_left(engine, home)


# --- deaths ------------------------------------------------------------------------------------------------


async def test_a_killed_machine_is_one_clear_error_for_everybody(engine: Engine, home: Home) -> None:
    container = await started(engine, "sh", "-c", "echo last words; sleep 1000", name="victim")
    process = await container.attach(replay=True)
    assert await process.stdout.read() == b"last words\n"
    state = container.state
    assert isinstance(state, Running)
    os.kill(state.pid, signal.SIGKILL)
    with pytest.raises(MachineDied, match="machine 'victim' ended: QEMU was killed by SIGKILL"):
        await process.wait()
    with pytest.raises(MachineDied, match="killed by SIGKILL"):
        await process.stdout.read()
    with pytest.raises(MachineDied, match="killed by SIGKILL"):
        await container.wait()
    later = (await engine.container("victim")).state
    assert isinstance(later, Exited)
    assert "killed by SIGKILL" in later.reason
    assert nothing_runs(home)


OWNER = """
import asyncio, sys
from firkin.engine.engine import Engine
from firkin.engine.words import run_options

async def main():
    async with Engine() as engine:
        for name in sys.argv[1:]:
            await engine.run(run_options("busybox", ["sleep", "1000"], name=name, auto_remove=name == "gone"))
        print("running", flush=True)
        await asyncio.sleep(1000)

asyncio.run(main())
"""


async def test_what_a_killed_owner_leaves_is_tidied_by_the_next_run(engine: Engine, home: Home) -> None:
    owner = await python(OWNER, "gone", "kept")
    assert owner.stdout is not None
    assert await owner.stdout.readline() == b"running\n"
    owner.kill()
    await owner.wait()
    container, _ = await ended(engine, "true", auto_remove=True)
    await container.wait()
    (kept,) = engine.containers(all=True)
    assert (kept.spec.name, type(kept.state)) == ("kept", Exited)
    assert nothing_runs(home)
    await (await engine.container("kept")).remove()


CALLER = """
import sys, firkin
from firkin.events import subscribed

def tell(event):
    if (event.name, event.phase) == ("container.start", "end"):
        print("running", flush=True)

with subscribed(tell):
    firkin.run("busybox", ["sleep", "1000"])
"""


async def test_a_blocking_caller_that_is_interrupted_leaves_nothing(engine: Engine, home: Home) -> None:
    caller = await python(CALLER)
    assert caller.stdout is not None
    assert await caller.stdout.readline() == b"running\n"
    caller.send_signal(signal.SIGINT)
    _, complaint = await caller.communicate()
    assert complaint.rstrip().endswith(b"KeyboardInterrupt")
    assert nothing_is_left(engine, home)


async def python(program: str, *words: str) -> asyncio.subprocess.Process:
    """Another process of this test, its output and complaints in pipes."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *words, stdout=pipe, stderr=pipe
    )
