"""One more process in a running machine: a static binary, through the command line and the API."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measure import Contender, Measures, command_times, take_turns, timed
from benchmarks.place import Place
from benchmarks.table import Row

NAME = "bench"
API_LIMIT_S = 0.015


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

            api = take_turns([Contender("api", through_api)], place.rounds * 5, warmups=3)["api"]
            command = take_turns([Contender("command", through_command)], place.rounds)["command"]
    finally:
        place.run([place.firkin, "rm", "-f", NAME])
    yield Row("exec, API", api["whole"], "ms", goal="< 15 ms", limit=API_LIMIT_S)
    yield Row("firkin exec: first byte", command["first byte"], "ms")
    yield Row("firkin exec: whole", command["whole"], "ms")
