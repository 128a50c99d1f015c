"""Where the time of a run went: spans from events, the picture, and Chrome's trace format."""

import json
from pathlib import Path
from typing import Any

import pytest

from firkin.cli.spans import Recorder, spans
from firkin.cli.timing import COLD, FIRST_BYTE, bars, picture, remarks
from firkin.cli.trace import trace, write_trace
from firkin.errors import UsageError
from firkin.events import Event

MS = 1_000_000


def at(ms: int, name: str, phase: Any = "point", **fields: Any) -> Event:
    return Event(name, phase, ms * MS, fields)


RUN = [
    at(100, "machine.start", "begin", argv=("qemu", "-M")),
    at(150, "machine.start", "end", argv=("qemu", "-M")),
    at(150, "machine.kernel", "begin"),
    at(900, "machine.kernel", "end"),
    at(950, FIRST_BYTE),
]
LAYERS = [
    at(0, "pull", "begin", reference="x"),
    at(10, "layer", "begin", digest="a"),
    at(20, "layer", "begin", digest="b"),
    at(25, "layer.progress", digest="b", done=5, total=9),
    at(30, "layer", "end", digest="a"),
    at(40, "layer", "end", digest="b"),
    at(50, "pull", "end", reference="x"),
]


def test_ends_meet_the_begins_of_their_own_fields() -> None:
    assert [(s.name, s.fields.get("digest"), s.duration_ns // MS) for s in spans(LAYERS)] == [
        ("pull", None, 50), ("layer", "a", 20), ("layer", "b", 20),
    ]  # fmt: skip


def test_a_stage_that_never_ended_lasts_to_the_last_event() -> None:
    (span,) = spans([at(1, "machine.kernel", "begin"), at(9, "x")])
    assert (span.duration_ns, span.finished) == (8 * MS, False)


def test_the_picture_shows_each_stage_where_and_as_long_as_it_was() -> None:
    recorder = Recorder(0, list(RUN))
    text = picture(bars(recorder, 1000 * MS), 1000 * MS, columns=80, unicode=False)
    assert text == (
        "0.95 s to the first byte, 1.00 s in all\n"
        "  command line  ####                                                    0.100 s\n"
        "  VMM start         ##                                       at 0.10 s  0.050 s\n"
        "  kernel              ################################       at 0.15 s  0.750 s\n"
        "  first byte                                            |    at 0.95 s\n"
    )


def test_a_fork_and_the_making_of_its_template_are_in_the_picture() -> None:
    fork = [
        at(100, "template.make", "begin"),
        at(800, "template.make", "end"),
        at(820, "machine.restore", "begin"),
        at(990, "machine.restore", "end"),
    ]
    assert [bar.label for bar in bars(Recorder(0, fork), 1000 * MS)] == [
        "command line", "template made", "fork",
    ]  # fmt: skip
    assert remarks(Recorder(0, fork)) == []


def test_the_reason_of_a_cold_start_is_said_as_text_that_steers_no_terminal() -> None:
    cold = at(5, COLD, machine="web", reason="directories are shared\x1b[2J with the host")
    assert remarks(Recorder(0, [cold, *RUN])) == [
        "booted a kernel, since directories are shared\\x1b[2J with the host"
    ]


def test_the_picture_fits_the_terminal() -> None:
    for columns in (60, 80, 200):
        text = picture(bars(Recorder(0, list(RUN)), 1000 * MS), 1000 * MS, columns=columns)
        assert max(map(len, text.splitlines())) <= columns


def test_the_trace_is_the_documented_format(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    write_trace(str(path), [*LAYERS, *RUN], 0)
    check_trace(json.loads(path.read_text()))


def test_layers_in_parallel_get_lanes_of_their_own() -> None:
    lanes = {
        (e["name"], e["args"].get("digest")): e["tid"]
        for e in trace(LAYERS, 0)["traceEvents"]
        if e["ph"] == "X"
    }
    assert lanes["pull", None] == lanes["layer", "a"] != lanes["layer", "b"]


def test_a_trace_that_cannot_be_written_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no/such: No such file"):
        write_trace(str(tmp_path / "no/such"), [], 0)


def check_trace(found: dict[str, Any]) -> None:
    """The rules of the Trace Event Format for the phases that we write."""
    assert found["displayTimeUnit"] in ("ms", "ns")
    assert isinstance(found["traceEvents"], list)
    lanes: dict[int, list[tuple[int, int]]] = {}  # in nanoseconds, as microseconds do not add up
    for entry in found["traceEvents"]:
        assert isinstance(entry["name"], str)
        assert isinstance(entry["pid"], int)
        assert isinstance(entry["tid"], int)
        assert isinstance(entry.get("args", {}), dict)
        assert entry["ph"] in "XiCM"
        if entry["ph"] != "M":
            assert entry["ts"] >= 0
            assert isinstance(entry["cat"], str)
        if entry["ph"] == "X":
            assert entry["dur"] >= 0
            start_ns, length_ns = round(entry["ts"] * 1000), round(entry["dur"] * 1000)
            lanes.setdefault(entry["tid"], []).append((start_ns, start_ns + length_ns))
        if entry["ph"] == "i":
            assert entry["s"] in ("g", "p", "t")
        if entry["ph"] == "C":
            assert all(isinstance(value, int | float) for value in entry["args"].values())
    for intervals in lanes.values():
        for start, end in intervals:
            assert not any(start < other_start < end < other_end for other_start, other_end in intervals)
