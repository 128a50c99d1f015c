"""`--trace FILE`: the events of a run in the Chrome trace format, for chrome://tracing and Perfetto.

The format is "Trace Event Format" (the JSON object form): complete events (`X`) for stages, instant events
(`i`) for moments, counters (`C`) for progress, times in microseconds. Stages that overlap without nesting,
such as layers in parallel, get lanes (`tid`) of their own, because a lane must nest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

from firkin.cli.spans import Span, moments, spans
from firkin.errors import UsageError
from firkin.events import Event


def trace(events: Iterable[Event], start_ns: int) -> dict[str, Any]:
    """The trace of `events`; its time 0 is `start_ns`."""
    listed = list(events)
    pid = os.getpid()
    entries: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": pid, "tid": 0, "args": {"name": "firkin"}}
    ]
    for lane, span in _lanes(spans(listed)):
        entries.append(_entry(span.name, "X", span.start_ns - start_ns, pid, lane, span.fields))
        entries[-1]["dur"] = span.duration_ns / 1000
    for moment in moments(listed):
        entry = _entry(moment.name, "i", moment.time_ns - start_ns, pid, 0, moment.fields)
        if isinstance(done := moment.fields.get("done"), int):
            entry |= {"ph": "C", "args": {"done": done}, "id": str(moment.fields.get("digest", ""))}
        else:
            entry["s"] = "p"
        entries.append(entry)
    return {"traceEvents": entries, "displayTimeUnit": "ms"}


def write_trace(path: str, events: Iterable[Event], start_ns: int) -> None:
    """Write the trace to `path`. Raises UsageError where the file cannot be written."""
    try:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(trace(events, start_ns), file, indent=1)
    except OSError as error:
        raise UsageError(
            f"cannot write the trace to {path}: {error.strerror}", hint="choose another file for --trace"
        ) from error


def _entry(name: str, ph: str, at_ns: int, pid: int, tid: int, fields: dict[str, Any]) -> dict[str, Any]:
    args = {
        key: value if isinstance(value, int | float | bool) else str(value) for key, value in fields.items()
    }
    return {"name": name, "cat": name.partition(".")[0], "ph": ph, "ts": at_ns / 1000, "pid": pid, "tid": tid,
            "args": args}  # fmt: skip


def _lanes(found: Iterable[Span]) -> list[tuple[int, Span]]:
    """Each span with the first lane in which it is inside, or after, everything before it."""
    lanes: list[list[Span]] = []
    placed: list[tuple[int, Span]] = []
    for span in found:
        number = next((at for at, stack in enumerate(lanes) if _nests(span, stack)), len(lanes))
        if number == len(lanes):
            lanes.append([])
        lanes[number].append(span)
        placed.append((number, span))
    return placed


def _nests(span: Span, stack: list[Span]) -> bool:
    while stack and stack[-1].end_ns <= span.start_ns:
        stack.pop()
    return not stack or span.end_ns <= stack[-1].end_ns
