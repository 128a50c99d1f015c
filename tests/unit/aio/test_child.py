"""Children by pidfd: waiting, and the ladder that ends them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from firkin.aio.child import Child, Rung
from firkin.errors import Timeout

QUICK = (Rung(signal.SIGTERM, 0.2), Rung(signal.SIGKILL, 10.0))


@pytest.fixture
def spawn() -> Iterator[Callable[[str], Child]]:
    """Start a shell script that has said "ready"."""
    started: list[subprocess.Popen[bytes]] = []

    def start(script: str) -> Child:
        process = subprocess.Popen(["/bin/sh", "-c", f"{script}"], stdout=subprocess.PIPE)
        started.append(process)
        if "echo ready" in script:
            assert process.stdout is not None
            assert process.stdout.read(5) == b"ready"
        return Child(process.pid, os.pidfd_open(process.pid))

    yield start
    for process in started:
        assert process.stdout is not None
        process.stdout.close()
        process.returncode = 0  # reaped by its Child; Popen would look for a stranger


def somebody_elses(*argv: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv)


async def test_everyone_who_waits_learns_the_status(spawn: Callable[[str], Child]) -> None:
    child = spawn("exit 7")
    assert await asyncio.gather(child.wait(), child.wait()) == [7, 7]
    assert await child.wait() == 7


async def test_a_cancelled_wait_harms_no_other(spawn: Callable[[str], Child]) -> None:
    child = spawn("exec sleep 60")
    impatient = asyncio.ensure_future(child.wait())
    patient = asyncio.ensure_future(child.wait())
    await asyncio.sleep(0)
    impatient.cancel()
    child.send(signal.SIGKILL)
    assert await patient == -signal.SIGKILL


async def test_stop_asks_before_it_kills(spawn: Callable[[str], Child]) -> None:
    child = spawn("trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done")
    assert await child.stop(QUICK) == 5


async def test_stop_kills_what_does_not_listen(spawn: Callable[[str], Child]) -> None:
    child = spawn("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    assert await child.stop(QUICK) == -signal.SIGKILL
    assert await child.stop(QUICK) == -signal.SIGKILL


async def test_stop_names_who_survived_the_last_rung(spawn: Callable[[str], Child]) -> None:
    child = spawn("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    with pytest.raises(Timeout, match=f"process {child.pid}"):
        await child.stop((Rung(signal.SIGTERM, 0.05),))
    await child.stop(QUICK)


async def test_somebody_elses_process_can_be_waited_for_and_stopped() -> None:
    other = somebody_elses("sleep", "60")
    child = Child.adopt(other.pid)
    waiting = asyncio.ensure_future(child.wait())
    await child.stop(QUICK)
    assert await waiting == 0
    assert other.wait() == -signal.SIGTERM


async def test_a_process_that_is_gone_cannot_be_adopted() -> None:
    gone = somebody_elses("true")
    gone.wait()
    with pytest.raises(ProcessLookupError):
        Child.adopt(gone.pid)


async def test_an_end_is_noticed_at_once(spawn: Callable[[str], Child]) -> None:
    child = spawn("exec sleep 60")
    waiting = asyncio.ensure_future(child.wait())
    await asyncio.sleep(0)
    begin = time.monotonic()
    os.kill(child.pid, signal.SIGKILL)
    await waiting
    assert time.monotonic() - begin < 1


def test_abort_needs_no_event_loop(spawn: Callable[[str], Child]) -> None:
    child = spawn("exec sleep 60")
    child.abort()
    assert child.status == -signal.SIGKILL
    child.abort()
