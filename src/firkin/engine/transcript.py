"""Transcript: a container's log as its owner holds it: written at its end, read back for whoever comes late.

What was written can be read back for as long as the transcript lives, even when the container's directory is
gone by then: a process that ends in a millisecond still has its output.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

from firkin.container.log import LogReader, LogWriter, Stream
from firkin.container.record import Streams


class Transcript:
    """The log at `path`, made when missing. Raises Corrupt, StorageFull. finish() closes its end.

    `begin` is where the current start of the container is in each stream; None: where the log ends now.
    """

    def __init__(self, path: Path, begin: Streams | None = None) -> None:
        self._writer = LogWriter(path)
        self.begin = begin or Streams(self._writer.offset("stdout"), self._writer.offset("stderr"))
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, fd)
        self._reader = LogReader(path, fd)

    def append(self, stream: Stream, data: bytes) -> None:
        """Write down the next bytes of `stream`. Raises StorageFull."""
        self._writer.append(stream, data, time.time_ns())

    def offset(self, stream: Stream) -> int:
        """How many bytes of `stream` are written down."""
        return self._writer.offset(stream)

    def history(self, stream: Stream) -> Iterator[bytes]:
        """What of `stream` is written down now since the start, in pieces; what comes later is not in it."""
        begin = self.begin.stdout if stream == "stdout" else self.begin.stderr
        return self._pieces(stream, begin, self._reader.end())

    def finish(self) -> None:
        """Nothing more is to come. May be called twice."""
        self._writer.close()

    def _pieces(self, stream: Stream, begin: int, end: int) -> Iterator[bytes]:
        for position, record in self._reader.records():
            if position > end:
                return
            if record.stream == stream and record.offset >= begin:
                yield record.data
