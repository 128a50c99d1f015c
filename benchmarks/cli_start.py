"""What the command line costs before it does anything: `firkin version` against `python3 -c pass`; and the
doctor, who looks at the whole host.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.measure import Contender, command_times, take_turns
from benchmarks.place import Place
from benchmarks.table import Row

MORE_THAN_PYTHON_S = 0.060
DOCTOR_S = 0.500


def rows(place: Place) -> Iterator[Row]:
    python = Contender("python", lambda: command_times([sys.executable, "-c", "pass"], place.environ))
    ours = Contender("firkin", lambda: command_times([place.firkin, "version"], place.environ))
    look = ["sh", "-c", '"$0" doctor || :', place.firkin]  # its status tells of the host
    doctor = Contender("doctor", lambda: command_times(look, place.environ))
    samples = take_turns([python, ours, doctor], place.rounds * 2)
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
    yield Row(
        what="firkin doctor",
        ours=samples["doctor"]["whole"],
        unit="ms",
        goal="<= 500 ms",
        limit=DOCTOR_S,
        floor=floor,
        floor_name="python3 -c pass",
    )
