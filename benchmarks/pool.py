"""A machine that was made ready beforehand: its lease, and the first command in it.

A container that is started when it is asked for stands beside the lease. Refilling is waited for between two
leases, so that nothing runs beside what is measured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack

import firkin
from benchmarks.measure import Contender, Measures, take_turns
from benchmarks.place import Place
from benchmarks.table import Row
from firkin.settings import Settings

READY = 4
LEASE_LIMIT_S, COMMAND_LIMIT_S = 0.010, 0.070
_FIRST = ["sleep", "1000000"]
_FILLING_S = 60.0
_ANY_LOAD = 1000.0


def rows(place: Place) -> Iterator[Row]:
    settings, image = Settings.load(place.environ), place.static_image
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        opened = AsyncExitStack()
        stack.callback(lambda: runner.run(opened.aclose()))
        engine = runner.run(opened.enter_async_context(firkin.AsyncEngine(settings)))

        async def pooled(pool: firkin.AsyncPool) -> Measures:
            await pool.filled(timeout=_FILLING_S)
            begin = time.perf_counter()
            async with pool.lease() as container:
                return await _first_command(container, begin)

        async def started() -> Measures:
            begin = time.perf_counter()
            async with engine.run(image, _FIRST) as container:
                return await _first_command(container, begin)

        pool = engine.pool(image, _FIRST, ready=READY, max_load=_ANY_LOAD)
        runner.run(opened.enter_async_context(pool))
        contenders = [
            Contender("run", lambda: runner.run(started())),
            Contender("pool", lambda: runner.run(pooled(pool))),
        ]
        samples = take_turns(contenders, place.rounds * 2)
    ours, beside = samples["pool"], samples["run"]
    for what, measure, limit_s in (
        ("lease from a pool", "ready", LEASE_LIMIT_S),
        ("the first command in it", "command", COMMAND_LIMIT_S),
    ):
        goal = f"<= {limit_s * 1000:.0f} ms"
        yield Row(what, ours[measure], "ms", goal, limit_s, beside[measure], "run without a pool")


async def _first_command(container: firkin.AsyncContainer, begin: float) -> Measures:
    """Since `begin` it was waited for."""
    ready = time.perf_counter()
    await container.exec(["true"]).output(check=True)
    return {"ready": ready - begin, "command": time.perf_counter() - ready}
