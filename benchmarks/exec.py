"""One more process in a running machine: a static binary, through the command line and the API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from benchmarks.measure import Contender, Measures, command_times, take_turns, timed
from benchmarks.place import Place
from benchmarks.table import Row

NAME = "bench"
API_LIMIT_S = 0.015
HUNDRED = 100
HUNDRED_LIMIT_S = 0.5


def rows(place: Place) -> Iterator[Row]:
    import firkin
    from firkin.settings import Settings

    say = ["echo", "hi"]
    start = [place.firkin, "run", "-d", "--name", NAME, place.static_image, "sleep", "100000"]
    place.run(start)
    try:
        with firkin.Engine(Settings.load(place.environ)) as engine:
            container = engine.container(NAME)

            def through_api() -> Measures:
                return {"whole": timed(lambda: container.exec(say).output(check=True))}

            def through_command() -> Measures:
                return command_times([place.firkin, "exec", NAME, *say], place.environ)

            def hundred() -> Measures:
                return {"whole": asyncio.run(_hundred(place, say))}

            api = take_turns([Contender("api", through_api)], place.rounds * 5, warmups=3)["api"]
            many = take_turns([Contender("hundred", hundred)], place.rounds)["hundred"]
            command = take_turns([Contender("command", through_command)], place.rounds)["command"]
    finally:
        place.run([place.firkin, "rm", "-f", NAME])
    yield Row("exec, API", api["whole"], "ms", goal="< 15 ms", limit=API_LIMIT_S)
    yield Row("100 commands at once, API", many["whole"], "ms", goal="< 500 ms", limit=HUNDRED_LIMIT_S)
    yield Row("firkin exec: first byte", command["first byte"], "ms")
    yield Row("firkin exec: whole", command["whole"], "ms")


async def _hundred(place: Place, command: list[str]) -> float:
    """Seconds from the first request until all of a hundred commands have ended, with their output."""
    import firkin
    from firkin.settings import Settings

    async with firkin.AsyncEngine(Settings.load(place.environ)) as engine:
        container = await engine.container(NAME)
        begin = time.perf_counter()
        running = (container.exec(command).output(check=True) for _ in range(HUNDRED))
        outputs = await asyncio.gather(*running)
        whole = time.perf_counter() - begin
    assert all(each.stdout == b"hi\n" for each in outputs)
    return whole
