"""Files into a running container and out of it, beside the same bytes through a process's pipes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Contender, Measures, take_turns, timed
from benchmarks.place import Place
from benchmarks.table import Row

NAME = "bench-copy"
SIZE_BYTES = 64 << 20
LEAST_PART = 0.6
"""How much of the stream's throughput a copy has to reach."""


def rows(place: Place) -> Iterator[Row]:
    import firkin
    from firkin.settings import Settings

    in_memory = ("--tmpfs", "/memory:size=100m")
    place.run([place.firkin, "run", "-d", "--name", NAME, *in_memory, place.static_image, "sleep", "100000"])
    try:
        with firkin.Engine(Settings.load(place.environ)) as engine, TemporaryDirectory() as directory:
            container = engine.container(NAME)
            source, target = Path(directory) / "source", Path(directory) / "target"
            source.write_bytes(os.urandom(SIZE_BYTES))

            def stream_in() -> Measures:
                given = source.read_bytes()
                sink = ["sh", "-c", "cat > /memory/file"]
                return {"whole": timed(lambda: container.exec(sink, stdin=True).output(given, check=True))}

            def stream_out() -> Measures:
                return {"whole": timed(lambda: container.exec(["cat", "/memory/file"]).output(check=True))}

            def copy_in() -> Measures:
                return {"whole": timed(lambda: container.copy_in(source, "/memory/file"))}

            def copy_out() -> Measures:
                return {"whole": timed(lambda: container.copy_out("/memory/file", target))}

            into = [Contender("stream", stream_in), Contender("copy", copy_in)]
            there = take_turns(into, place.rounds, warmups=1)
            out = [Contender("stream", stream_out), Contender("copy", copy_out)]
            back = take_turns(out, place.rounds, warmups=1)
            assert target.read_bytes() == source.read_bytes()
    finally:
        place.run([place.firkin, "rm", "-f", NAME])
    for direction, measured in (("in", there), ("out", back)):
        floor = measured["stream"]["whole"]
        yield Row(
            f"cp of 64 MiB {direction}, API", measured["copy"]["whole"], "ms",
            goal="60% of exec's stream", limit=floor.median / LEAST_PART if floor.n else None,
            floor=floor, floor_name="exec cat",
        )  # fmt: skip
