"""Pools of real machines: what a lease gets, that nobody shares one, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable

import pytest

from firkin import AsyncContainer, AsyncEngine, AsyncPool, ImageNotFound, MachineDied, MemoryFull, UsageError
from firkin.container.record import Running, records
from firkin.errors import FirkinError, WrongState
from firkin.events import Event, subscribed
from firkin.pytest import leaks
from firkin.pytest.command import Command
from firkin.pytest.home import Home
from firkin.settings import Settings

pytestmark = pytest.mark.machine

STAYS = ["sleep", "100000"]
BUSY = ["sh", "-c", "while :; do :; done"]
LEASES = 3


@pytest.fixture
async def engine(settings: Settings, home: Home, busybox: Command) -> AsyncIterator[AsyncEngine]:
    """An engine with busybox, of which nothing is left in the end."""
    async with AsyncEngine(settings) as engine:
        yield engine
    assert nothing_is_left(home)


def nothing_is_left(home: Home) -> bool:
    """As if there never had been a pool."""
    containers = home.data_dir / "containers"
    assert [path.name for path in containers.glob("*") if path.name != ".lock"] == []
    assert list((home.run_dir / "c").glob("*")) == []
    assert list(leaks.processes_of(str(home.root))) == []
    return True


async def said(box: AsyncContainer, *command: str) -> str:
    return str((await box.exec(command).output(text=True, check=True)).stdout).strip()


def vmms(settings: Settings) -> dict[str, int]:
    """The VMM's pid of each running container, by id."""
    states = {record.id: record.state() for record in records(settings.paths)}
    return {id: state.pid for id, state in states.items() if isinstance(state, Running)}


def processor_ticks(pid: int) -> int:
    """What it used so far: utime and stime of proc(5)."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - what is waited for is what others see
            await asyncio.sleep(0.01)


async def test_each_lease_has_a_machine_of_its_own_that_knows_the_time(
    engine: AsyncEngine, settings: Settings
) -> None:
    seen: list[tuple[str, ...]] = []
    async with engine.pool("busybox", BUSY, ready=2, publish=["127.0.0.1::80"]) as pool:
        await pool.filled(timeout=120)
        idle = vmms(settings)
        before = sum(map(processor_ticks, idle.values()))
        await asyncio.sleep(2.1)  # the clocks of what stands still fall behind
        assert sum(map(processor_ticks, idle.values())) - before < 20  # of 420
        for _ in range(LEASES):
            async with pool.lease(timeout=60) as box:
                begin = int(time.time())
                assert begin <= int(await said(box, "date", "+%s")) <= int(time.time())
                assert await said(box, "sh", "-c", "ls /mark || echo none; touch /mark") == "none"
                draw = await said(box, "sh", "-c", "head -c 16 /dev/urandom | md5sum")
                seen.append((box.id, draw, await said(box, "hostname"), str(box.ports[0].host_port)))
            assert box.id not in vmms(settings)
        assert all(len(set(column)) == LEASES for column in zip(*seen, strict=True))
        assert seen[0][0] in idle
        await until(lambda: pool.stats.leased == 0)
        stats = pool.stats
        assert (stats.hits >= 2, stats.hits + stats.misses, stats.died) == (True, LEASES, 0)
        assert (stats.failures, stats.last_failure) == (0, "")
        assert stats.median_lease_s is not None
        assert stats.median_lease_s < 10


async def test_a_pool_of_a_snapshot_leases_what_goes_on_from_it(engine: AsyncEngine) -> None:
    script = "date +%s%N > /dev/shm/loaded; echo warm; while :; do sleep 1; done"
    async with engine.run("busybox", ["sh", "-c", script]) as parent:
        assert await (await parent.attach()).stdout.readline() == b"warm\n"
        loaded = await said(parent, "cat", "/dev/shm/loaded")
        snapshot = await parent.snapshot("warm")
    async with engine.pool(snapshot, ready=2) as pool:
        await pool.filled(timeout=120)
        async with pool.lease() as one, pool.lease() as other:
            assert await said(one, "cat", "/dev/shm/loaded") == await said(other, "cat", "/dev/shm/loaded")
            assert await said(one, "cat", "/dev/shm/loaded") == loaded
            assert await said(one, "hostname") != await said(other, "hostname")
            await said(one, "sh", "-c", "echo mine > /dev/shm/loaded")
            assert await said(other, "cat", "/dev/shm/loaded") == loaded
    with pytest.raises(UsageError, match="no other command"):
        engine.pool(snapshot, ["true"])
    await snapshot.remove()


async def test_a_machine_killed_while_idle_is_replaced_and_one_killed_while_leased_is_told(
    engine: AsyncEngine, settings: Settings
) -> None:
    async with engine.pool("busybox", STAYS, ready=1) as pool:
        await pool.filled(timeout=120)
        (first,) = vmms(settings).values()
        os.kill(first, signal.SIGKILL)
        await until(lambda: pool.stats.died == 1)
        await pool.filled(timeout=120)
        box = await pool.lease()
        assert vmms(settings)[box.id] != first
        os.kill(vmms(settings)[box.id], signal.SIGKILL)
        with pytest.raises(MachineDied, match="killed by SIGKILL"):
            await box.wait(60)
        await until(lambda: pool.stats.leased == pool.stats.ending == 0)
        assert pool.stats.died == 1


async def test_a_lease_gets_no_machine_that_was_killed_the_moment_before(
    engine: AsyncEngine, settings: Settings
) -> None:
    async with engine.pool("busybox", STAYS, ready=1) as pool:
        await pool.filled(timeout=120)
        (first,) = vmms(settings).values()
        os.kill(first, signal.SIGKILL)
        async with pool.lease(timeout=120) as box:
            assert await said(box, "echo", "alive") == "alive"


async def test_what_cannot_start_is_told_at_the_first_lease(engine: AsyncEngine) -> None:
    async with engine.pool("no-such-image", pull="never") as pool:
        with pytest.raises(ImageNotFound, match="no-such-image"):
            await pool.lease(timeout=60)
    # The image's own command ends at once, and takes along what would make the machine warm for ever.
    async with engine.pool("busybox", warm=STAYS) as pool:
        with pytest.raises(WrongState, match="ended with exit status 0 before it could be leased"):
            await pool.filled(timeout=60)


async def test_words_that_fit_no_pool_are_refused_before_anything_is_made(engine: AsyncEngine) -> None:
    for words in ({"name": "all"}, {"publish": ["8080:80"]}, {"auto_remove": False}, {"when_empty": "cry"}):
        with pytest.raises(UsageError):
            engine.pool("busybox", STAYS, **words)  # type: ignore[arg-type]


async def test_a_host_without_room_starts_none(engine: AsyncEngine) -> None:
    async with engine.pool("busybox", STAYS, reserve_memory="64t") as pool:
        with pytest.raises(MemoryFull, match="none can be started"):
            await pool.lease()
        await until(lambda: pool.stats.pressure)
        assert (pool.stats.ready, pool.stats.filling) == (0, 0)


@pytest.mark.parametrize("step", ["machine.start", "container.start", "pool.filled"])
async def test_an_engine_that_closes_while_its_pool_is_filled_leaves_nothing(
    engine: AsyncEngine, settings: Settings, home: Home, step: str
) -> None:
    reached = asyncio.Event()

    def note(event: Event) -> None:
        if event.name == step:
            reached.set()

    pool: AsyncPool
    with subscribed(note):
        async with AsyncEngine(settings) as inner:
            pool = inner.pool("busybox", STAYS, ready=3, max_load=1e9)
            await pool.__aenter__()
            await asyncio.wait_for(reached.wait(), 120)
    try:
        with pytest.raises(FirkinError):
            await pool.lease(timeout=60)
    finally:
        await pool.__aexit__(None, None, None)
    assert nothing_is_left(home)


CALLER = """
import firkin

with firkin.Engine() as engine, engine.pool("busybox", ["sleep", "inf"], ready=2) as pool:
    pool.filled()
    with pool.lease() as box:
        print(box.exec(["echo", "leased"]).output(text=True).stdout, end="", flush=True)
        box.wait()
"""


async def test_a_blocking_caller_that_is_interrupted_leaves_nothing(engine: AsyncEngine, home: Home) -> None:
    pipe = asyncio.subprocess.PIPE
    caller = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CALLER, stdout=pipe, stderr=pipe, env=home.environ()
    )
    assert caller.stdout is not None
    assert await caller.stdout.readline() == b"leased\n"
    caller.send_signal(signal.SIGINT)
    _, complaint = await caller.communicate()
    assert complaint.rstrip().endswith(b"KeyboardInterrupt")
    assert nothing_is_left(home)
