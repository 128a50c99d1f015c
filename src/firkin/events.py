"""One seam for all that watches firkin work: logs, progress bars, timelines, traces, fault injection.

    event("layer.progress", digest=..., done=..., total=...)      something happened, or moved on
    with stage("rootfs", image=...):                              something that takes time

Whoever wants to see them subscribes for the length of a `with` block; subscribers are inherited by the tasks
and (through asyncio.to_thread) the threads that are started inside it. A subscriber that raises makes the
stage fail at that very line: that is how tests inject faults and rivals.

Names are `subject.verb`, and each is in docs/reference/events.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import msgspec

Phase = Literal["point", "begin", "end"]


class Event(msgspec.Struct, frozen=True):
    """One happening. `time_ns` is time.monotonic_ns()."""

    name: str
    phase: Phase
    time_ns: int
    fields: dict[str, Any] = {}


Subscriber = Callable[[Event], None]

_subscribers: ContextVar[tuple[Subscriber, ...]] = ContextVar("firkin_subscribers", default=())


@contextmanager
def subscribed(subscriber: Subscriber) -> Iterator[None]:
    """Call `subscriber` with each event of this context while the block runs."""
    token = _subscribers.set((*_subscribers.get(), subscriber))
    try:
        yield
    finally:
        _subscribers.reset(token)


def event(name: str, /, **fields: Any) -> None:
    """Tell the subscribers that something happened."""
    _emit(name, "point", fields)


@contextmanager
def stage(name: str, /, **fields: Any) -> Iterator[None]:
    """Tell the subscribers when the block begins and when it ends, however it ends."""
    _emit(name, "begin", fields)
    try:
        yield
    finally:
        _emit(name, "end", fields)


def span(name: str, begin_ns: int, end_ns: int, /, **fields: Any) -> None:
    """Tell the subscribers of a stage that was over before it could be told from its neighbours."""
    _emit(name, "begin", fields, begin_ns)
    _emit(name, "end", fields, end_ns)


def _emit(name: str, phase: Phase, fields: dict[str, Any], time_ns: int | None = None) -> None:
    if subscribers := _subscribers.get():
        happening = Event(name, phase, time.monotonic_ns() if time_ns is None else time_ns, fields)
        for subscriber in subscribers:
            subscriber(happening)
