"""A cold start, without templates: to the first byte of a container's output and to its end.

The floor is the bare machine: same QEMU, kernel and memory, whose init prints one byte and powers off. What a
fork costs is in benchmarks.restore.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.floor import floor
from benchmarks.measure import Contender, Measures, command_times, take_turns
from benchmarks.place import Place
from benchmarks.table import Row

FACTOR = 1.15


def rows(place: Place) -> Iterator[Row]:
    import firkin
    from firkin.settings import Settings

    image, say = place.static_image, ["echo", "hi"]
    environ = {**place.environ, "FIRKIN_TEMPLATES": "0"}
    settings = Settings.load(environ)
    with firkin.Engine(settings) as engine, floor(settings) as bare:

        def through_api() -> Measures:
            begin = time.perf_counter()
            with engine.run(image, say) as container:
                container.attach().stdout.read(1)
                first_byte = time.perf_counter() - begin
                container.wait()
                return {"first byte": first_byte, "whole": time.perf_counter() - begin}

        def through_command() -> Measures:
            return command_times([place.firkin, "run", "--rm", image, *say], environ)

        contenders = [
            Contender("floor", lambda: command_times(bare.argv)),
            Contender("command", through_command),
            Contender("api", through_api),
        ]
        samples = take_turns(contenders, place.rounds)
    for measure in ("first byte", "whole"):
        lowest = samples["floor"][measure]
        for name, what in (("command", "firkin run --rm, cold"), ("api", "the same, API")):
            goal = (f"<= {FACTOR} x floor", lowest.median * FACTOR) if measure == "first byte" else ("", None)
            yield Row(
                f"{what}: {measure}", samples[name][measure], "s", goal[0], goal[1], lowest, "bare machine"
            )
