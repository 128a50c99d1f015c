"""What the command line costs before it does anything: `firkin version` against `python3 -c pass`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.measure import Contender, command_times, take_turns
from benchmarks.place import Place
from benchmarks.table import Row

MORE_THAN_PYTHON_S = 0.060


def rows(place: Place) -> Iterator[Row]:
    python = Contender("python", lambda: command_times([sys.executable, "-c", "pass"], place.environ))
    ours = Contender("firkin", lambda: command_times([place.firkin, "version"], place.environ))
    samples = take_turns([python, ours], place.rounds * 2)
    floor = samples["python"]["whole"]
    yield Row(
        what="firkin version",
        ours=samples["firkin"]["whole"],
        unit="ms",
        goal="<= python + 60 ms",
        limit=floor.median + MORE_THAN_PYTHON_S,
        floor=floor,
        floor_name="python3 -c pass",
    )
