"""Reading a container's log as `firkin logs` does: its tail, from a time on, and on as it grows.

The rule: the log on disk is all that is asked, so it works whoever owns the container, and when nobody does.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from firkin.container.log import LogReader, LogRecord, Stream
from firkin.store.files import disk_errors

_LOOK_EVERY_S = 1.0
"""How often a follower looks for the end of a container whose owner and machine died without a word."""


def read(path: Path, *, tail: int | None = None, since_ns: int | None = None) -> Iterator[LogRecord]:
    """The last `tail` lines of the log at `path`, those from `since_ns` on.

    Raises Corrupt at the place where the log cannot be read. A log that is not there is empty.
    """
    with closing(_Log(path)) as log:
        yield from log.begin(tail, since_ns)


async def follow(
    path: Path, ended: Callable[[], bool], *, tail: int | None = None, since_ns: int | None = None
) -> AsyncIterator[LogRecord]:
    """As read(), and then what is appended, until `ended` says that nothing will be."""
    from firkin.linux.inotify import Watch  # ctypes, which only a follower pays for

    with Watch(path.parent) as watch, closing(_Log(path)) as log:
        for record in log.begin(tail, since_ns):
            yield record
        while True:
            over = ended()
            for record in log.more():
                yield record
            if over:
                return
            await watch.changed(_LOOK_EVERY_S)


class _Log:
    """A log that is being read, opened once it is there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._position: int | None = None

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def begin(self, tail: int | None, since_ns: int | None) -> Iterator[LogRecord]:
        reader = self._reader()
        if reader is None:
            return
        if tail is None:
            records = self.more()
        else:
            self._position = end = reader.end()
            records = iter(last_lines(reader, end, tail))
        for record in records:
            if since_ns is None or record.time_ns >= since_ns:
                yield record

    def more(self) -> Iterator[LogRecord]:
        """What was appended since the last call."""
        reader = self._reader()
        if reader is None:
            return
        records = reader.records() if self._position is None else reader.records(self._position)
        for self._position, record in records:
            yield record

    def _reader(self) -> LogReader | None:
        """None while there is nothing to read."""
        with disk_errors(self._path):
            if self._fd < 0:
                try:
                    self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:
                    return None
            return LogReader(self._path, self._fd) if os.fstat(self._fd).st_size else None


def last_lines(reader: LogReader, end: int, lines: int) -> list[LogRecord]:
    """The records before `end` that hold the last `lines` lines, the first of them cut to begin with a line.

    The lines of both streams count together; one that was not ended yet counts too.
    """
    kept: list[LogRecord] = []
    seen: set[Stream] = set()
    left = lines
    for _, record in reader.backward(end):
        until = len(record.data)
        if record.stream not in seen:
            seen.add(record.stream)
            left -= 1
            until -= record.data.endswith(b"\n")  # it ends the last line and begins none
        cut, left = _cut(record.data, until, left)
        if left >= 0:
            kept.append(record)
            continue
        if cut < len(record.data):
            kept.append(msgspec.structs.replace(record, offset=record.offset + cut, data=record.data[cut:]))
        break
    return kept[::-1]


def _cut(data: bytes, until: int, left: int) -> tuple[int, int]:
    """Where to cut `data`, and how many lines are `left` after those that end before `until`; -1: cut."""
    if left < 0:
        return len(data), left
    while (newline := data.rfind(b"\n", 0, until)) >= 0:
        left -= 1
        if left < 0:
            return newline + 1, left
        until = newline
    return 0, left
