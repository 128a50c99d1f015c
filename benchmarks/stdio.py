"""Bytes into a process and out of it, and files by cp, beside a raw virtio-serial port in the same run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.floor.port import raw_port
from benchmarks.measure import Contender, Measures, Samples, take_turns, timed
from benchmarks.place import Place
from benchmarks.table import Row

NAME = "bench-stdio"
SIZE_BYTES = 64 << 20
LEAST_PART = 0.6
"""How much of the raw port's throughput each has to reach."""

_BLOCKS = f"dd bs=65536 count={SIZE_BYTES >> 16}"


def rows(place: Place) -> Iterator[Row]:
    import firkin
    from firkin.settings import Settings

    settings = Settings.load(place.environ)
    in_memory = ("--tmpfs", "/memory:size=100m")
    place.run([place.firkin, "run", "-d", "--name", NAME, *in_memory, place.static_image, "sleep", "100000"])
    with ExitStack() as stack:
        stack.callback(place.run, [place.firkin, "rm", "-f", NAME])
        directory = Path(stack.enter_context(TemporaryDirectory()))
        engine = stack.enter_context(firkin.Engine(settings))
        ours = stack.enter_context(
            engine.run(place.static_image, ["sleep", "100000"], tmpfs=["/memory:size=100m"])
        )
        theirs = engine.container(NAME)
        port = stack.enter_context(raw_port(settings))
        source, target, data = directory / "source", directory / "target", os.urandom(SIZE_BYTES)
        source.write_bytes(data)

        def into_process(container: firkin.Container) -> Callable[[], object]:
            return lambda: container.exec(["sh", "-c", "cat >/dev/null"], stdin=True).output(data, check=True)

        def from_process(container: firkin.Container) -> Callable[[], object]:
            command = ["sh", "-c", f"{_BLOCKS} if=/dev/zero 2>/dev/null"]
            return lambda: container.exec(command).output(check=True, limit=SIZE_BYTES)

        def to_file() -> None:
            command = ["sh", "-c", f"{_BLOCKS} if=/dev/zero 2>/dev/null"]
            if not ours.exec(command, stdout=target).wait().ok:
                raise RuntimeError("dd failed")

        there = _turns(place, {
            "raw": lambda: port.send(data),
            "own": into_process(ours),
            "supervised": into_process(theirs),
            "cp": lambda: ours.copy_in(source, "/memory/file"),
        })  # fmt: skip
        back = _turns(place, {
            "raw": lambda: port.receive(SIZE_BYTES),
            "own": from_process(ours),
            "supervised": from_process(theirs),
            "file": to_file,
            "cp": lambda: ours.copy_out("/memory/file", target),
        })  # fmt: skip
        assert target.read_bytes() == data
    yield from _judged("into the guest", there)
    yield from _judged("out of it", back)


def _turns(place: Place, work: dict[str, Callable[[], object]]) -> Samples:
    def measured(each: Callable[[], object]) -> Callable[[], Measures]:
        return lambda: {"whole": timed(each)}

    return take_turns(
        [Contender(name, measured(each)) for name, each in work.items()], place.rounds, warmups=1
    )


def _judged(direction: str, samples: Samples) -> Iterator[Row]:
    floor = samples["raw"]["whole"]
    limit = floor.median / LEAST_PART if floor.n else None
    for name, what in (
        ("own", "stdio of a process"),
        ("supervised", "the same, container of the supervisor"),
        ("file", "stdio, to a file"),
        ("cp", "cp"),
    ):
        if name in samples:
            yield Row(
                f"64 MiB {direction}: {what}", samples[name]["whole"], "ms",
                goal="60% of the raw port", limit=limit, floor=floor, floor_name="raw port",
            )  # fmt: skip
