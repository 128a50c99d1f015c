"""One running container becomes many: until each has answered a command, and what each one more costs.

`container.fork(n)` keeps the running container and goes on from that, `snapshot.fork(n)` only goes on. Memory
is what `n` forks add to that of all processes, the engine's own among them: for each the private one, which
one more costs; for the chart all of it, with what they share in it once. The floor is as many bare restores
at once.

The rule: the many are made seldom, and the ten often.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import firkin
from benchmarks.chart import Chart, Series
from benchmarks.floor import Echo, echoing
from benchmarks.measure import Contender, Measures, Samples, take_turns
from benchmarks.memory import descendants, private_bytes, proportional_bytes
from benchmarks.place import Place
from benchmarks.table import Row
from firkin.settings import Settings

NUMBERS = (1, 2, 5, 10, 20, 50)
TEN, FIFTY = 10, 50
TEN_LIMIT_S = 0.600
IDLE_LIMIT_BYTES = 20e6
_REST_S = 0.5

Make = Callable[[int], Awaitable[list[firkin.AsyncContainer]]]


def rows(place: Place) -> Iterator[Row | Chart]:
    settings, image = Settings.load(place.environ), place.static_image
    with ExitStack() as stack:
        echo = stack.enter_context(echoing(settings))
        runner = stack.enter_context(asyncio.Runner())
        opened = AsyncExitStack()
        stack.callback(lambda: runner.run(opened.aclose()))
        family = runner.run(_family(opened, settings, image))
        ten = take_turns(_tens(family, echo, runner), max(2, place.rounds // 2))
        many = take_turns(_many(family, runner), max(1, place.rounds // 5), warmups=0)
    yield from _rows_of_ten(ten)
    yield from _rows_of_fifty(ten, many)
    yield from _charts(many)


@dataclass(frozen=True, slots=True)
class Family:
    """The container that is forked, and a snapshot of it."""

    container: firkin.AsyncContainer
    snapshot: firkin.AsyncSnapshot


async def _family(opened: AsyncExitStack, settings: Settings, image: str) -> Family:
    engine = await opened.enter_async_context(firkin.AsyncEngine(settings))
    container = await opened.enter_async_context(engine.run(image, ["sleep", "1000000"]))
    snapshot = await container.snapshot()
    opened.push_async_callback(partial(snapshot.remove, force=True))
    return Family(container, snapshot)


def _tens(family: Family, echo: Echo, runner: asyncio.Runner) -> list[Contender]:
    return [
        Contender("floor", lambda: echo.restored(TEN)),
        Contender("container", lambda: runner.run(_until_answered(family.container.fork, TEN))),
        Contender("snapshot", lambda: runner.run(_until_answered(family.snapshot.fork, TEN))),
    ]


def _many(family: Family, runner: asyncio.Runner) -> list[Contender]:
    def contender(n: int) -> Contender:
        return Contender(str(n), lambda: runner.run(_until_answered(family.container.fork, n)))

    idle = Contender("idle", lambda: runner.run(_idle(family.container.fork, FIFTY)))
    return [*map(contender, NUMBERS), idle]


@asynccontextmanager
async def _alive(make: Make, n: int) -> AsyncIterator[list[firkin.AsyncContainer]]:
    """`n` forks, removed when the block ends."""
    forks = await make(n)
    try:
        yield forks
    finally:
        await asyncio.gather(*(fork.remove(force=True) for fork in forks))


async def _answer(fork: firkin.AsyncContainer) -> bool:
    return (await fork.exec(["true"]).output(timeout=60)).ok


async def _until_answered(make: Make, n: int) -> Measures:
    """Since it was asked for, until all run and until all have answered; and what they hold then."""
    before = _memory()
    begin = time.perf_counter()
    async with _alive(make, n) as forks:
        running = time.perf_counter() - begin
        answers = await asyncio.gather(*map(_answer, forks), return_exceptions=True)
        answered = time.perf_counter() - begin
        held = await _added(before, n)
    silent = sum(answer is not True for answer in answers)
    return {"running": running, "answered": answered, "silent": silent} | held


async def _idle(make: Make, n: int) -> Measures:
    """What `n` forks hold that were asked for nothing."""
    before = _memory()
    async with _alive(make, n):
        return await _added(before, n)


async def _added(before: Memory, n: int) -> Measures:
    """What `n` forks have added: private to each, and in all."""
    await asyncio.sleep(_REST_S)
    now = _memory()
    return {"each": (now.private - before.private) / n, "all": now.all - before.all}


class Memory(NamedTuple):
    private: int
    all: int


def _memory() -> Memory:
    pids = descendants(os.getpid())
    return Memory(sum(map(private_bytes, pids)), sum(map(proportional_bytes, pids)))


def _rows_of_ten(ten: Samples) -> Iterator[Row]:
    goal, beside = f"<= {TEN_LIMIT_S * 1000:.0f} ms", (ten["floor"]["whole"], "ten bare restores")
    for name in ("container", "snapshot"):
        ours, what = ten[name], f"ten forks of a {name}"
        yield Row(f"{what}, until all answered", ours["answered"], "ms", goal, TEN_LIMIT_S, *beside)
        yield Row("of that, until all run", ours["running"], "ms", "", None, *beside)


def _rows_of_fifty(ten: Samples, many: Samples) -> Iterator[Row]:
    fifty, idle = many[str(FIFTY)], many["idle"]
    goal, beside = f"<= {IDLE_LIMIT_BYTES / 1e6:.0f} MB", (ten["floor"]["private"], "bare restore")
    yield Row("fifty forks of a container, until all answered", fifty["answered"], "s")
    yield Row("those of the fifty that did not answer", fifty["silent"], "", "0", 0.0)
    yield Row(
        "private memory of each of fifty idle forks", idle["each"], "MB", goal, IDLE_LIMIT_BYTES, *beside
    )
    yield Row("the same after its first command", fifty["each"], "MB", "", None, *beside)


def _charts(many: Samples) -> Iterator[Chart]:
    numbers = tuple(n for n in NUMBERS if many[str(n)]["answered"].n)
    if numbers:
        took = tuple(many[str(n)]["answered"].median for n in numbers)
        held = tuple(many[str(n)]["all"].median / 1e6 for n in numbers)
        series = (Series("until all answered", "s", took), Series("memory of all", "MB", held))
        yield Chart("forks", "forks at once", numbers, series)
