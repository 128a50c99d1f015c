"""The events of one run as spans: what took from when to when, and what happened in a moment.

A stage's begin and end meet by name and fields. A stage without an end (a failure, a detached machine) lasts
until the last event. Times are nanoseconds of the monotonic clock.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from firkin.events import Event

MAX_EVENTS = 100_000


@dataclass(frozen=True, slots=True)
class Span:
    name: str
    start_ns: int
    end_ns: int
    fields: dict[str, Any]
    finished: bool = True

    @property
    def duration_ns(self) -> int:
        return self.end_ns - self.start_ns


@dataclass(slots=True)
class Recorder:
    """A subscriber that keeps what it is told, up to MAX_EVENTS. `start_ns` is when the process began."""

    start_ns: int
    events: list[Event] = field(default_factory=list)

    @classmethod
    def of_this_process(cls, main_ns: int, main_cpu_ns: int) -> Recorder:
        """The interpreter's start is not in the events; until main ran, it took about its CPU time."""
        return cls(main_ns - main_cpu_ns)

    def __call__(self, event: Event) -> None:
        if len(self.events) < MAX_EVENTS:
            self.events.append(event)

    def mark(self, name: str, **fields: Any) -> None:
        """Something that only the CLI knows happened now."""
        self(Event(name, "point", time.monotonic_ns(), fields))


def spans(events: Iterable[Event]) -> list[Span]:
    """The stages of `events`, in the order in which they began."""
    open_stages: list[Event] = []
    found: list[Span] = []
    last_ns = 0
    for event in events:
        last_ns = max(last_ns, event.time_ns)
        if event.phase == "begin":
            open_stages.append(event)
        elif event.phase == "end" and (begin := _taken(open_stages, event)) is not None:
            found.append(Span(begin.name, begin.time_ns, event.time_ns, begin.fields))
    found += [Span(begin.name, begin.time_ns, last_ns, begin.fields, finished=False) for begin in open_stages]
    return sorted(found, key=lambda span: (span.start_ns, -span.end_ns))


def moments(events: Iterable[Event]) -> Iterator[Event]:
    """The events of `events` that are no stage."""
    return (event for event in events if event.phase == "point")


def _taken(open_stages: list[Event], end: Event) -> Event | None:
    for index in reversed(range(len(open_stages))):
        if open_stages[index].name == end.name and open_stages[index].fields == end.fields:
            return open_stages.pop(index)
    return None
