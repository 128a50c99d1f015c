"""What a container's main process wrote, on disk: a file of binary records, appended by the owner alone.

    file     "firklog1" | cookie                                     8 + 8 bytes
    record   cookie | u64 time_ns | u64 offset | u32 length | u8 stream | 3 zero bytes
             | the bytes | u32 length | ~cookie

`offset` is that of the first byte in its stream, so that whoever takes over knows what was written down. The
cookie is random: what a container prints can never pass for a record. Records are found from either end; a
torn one at the end, which a crash may leave, is cut by the next writer and not seen by readers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Literal

import msgspec

from firkin.errors import Corrupt
from firkin.store.files import disk_errors

Stream = Literal["stdout", "stderr"]

_MAGIC = b"firklog1"
_COOKIE_BYTES = 8
_FILE_HEADER_BYTES = len(_MAGIC) + _COOKIE_BYTES
_HEADER = Struct("<8sQQIB3x")
_TRAILER = Struct("<I8s")
_STREAMS: dict[int, Stream] = {1: "stdout", 2: "stderr"}
_NUMBERS = {name: number for number, name in _STREAMS.items()}
MAX_RECORD_BYTES = 1 << 20


class LogRecord(msgspec.Struct, frozen=True):
    """Some bytes of a stream, the first at `offset`, and when they arrived by CLOCK_REALTIME."""

    stream: Stream
    time_ns: int
    offset: int
    data: bytes


class LogWriter:
    """Appends to the log at `path`, which is made when missing. For the container's owner; closed by it.

    Raises Corrupt where the file is no log.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with disk_errors(path):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with disk_errors(path):
                self._cookie = self._begin()
                reader = LogReader(path, self._fd)
                self._end = reader.end()
                self._offsets = reader.offsets(self._end)
                os.ftruncate(self._fd, self._end)
        except BaseException:
            self.close()
            raise

    def offset(self, stream: Stream) -> int:
        """Where `stream` goes on: all bytes before are in the log."""
        return self._offsets[stream]

    def append(self, stream: Stream, data: bytes, time_ns: int) -> None:
        """Write down the next bytes of `stream`, at most MAX_RECORD_BYTES.

        The kernel has them when this returns, so a dead process loses none. Raises StorageFull; then nothing
        was written, and the same bytes may be appended again.
        """
        offset = self._offsets[stream]
        header = _HEADER.pack(self._cookie, time_ns, offset, len(data), _NUMBERS[stream])
        record = b"".join((header, data, _TRAILER.pack(len(data), _inverted(self._cookie))))
        with disk_errors(self._path, len(record)):
            try:
                _write_at(self._fd, record, self._end)
            except OSError:
                os.ftruncate(self._fd, self._end)
                raise
        self._end += len(record)
        self._offsets[stream] = offset + len(data)

    def close(self) -> None:
        """May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _begin(self) -> bytes:
        """The file's cookie. A file too short to have one is made anew."""
        header = os.pread(self._fd, _FILE_HEADER_BYTES, 0)
        if len(header) == _FILE_HEADER_BYTES:
            return header[len(_MAGIC) :]
        cookie = os.urandom(_COOKIE_BYTES)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, _MAGIC + cookie, 0)  # 16 bytes: whole for any reader
        return cookie


class LogReader:
    """Reads the log behind `fd`, which stays the caller's, while its owner may be appending."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd
        header = os.pread(fd, _FILE_HEADER_BYTES, 0)
        if not header.startswith(_MAGIC) or len(header) < _FILE_HEADER_BYTES:
            raise Corrupt(f"{path} is not a container's log", hint="remove the container")
        self._cookie = header[len(_MAGIC) :]
        self._closing = _inverted(self._cookie)

    def records(self, position: int = _FILE_HEADER_BYTES) -> Iterator[tuple[int, LogRecord]]:
        """The whole records from the one at `position` on, each with the position behind it."""
        while found := self._at(position):
            record, position = found
            yield position, record

    def backward(self, end: int) -> Iterator[tuple[int, LogRecord]]:
        """The records before `end`, which one ends at, the last first, each with its own position."""
        while end > _FILE_HEADER_BYTES:
            length, _ = _TRAILER.unpack(os.pread(self._fd, _TRAILER.size, end - _TRAILER.size))
            start = end - _TRAILER.size - length - _HEADER.size
            found = self._at(start) if start >= _FILE_HEADER_BYTES else None
            if found is None or found[1] != end:
                raise Corrupt(f"{self._path} has no record that ends at {end}", hint="remove the container")
            yield start, found[0]
            end = start

    def end(self) -> int:
        """The position behind the last whole record."""
        size = os.fstat(self._fd).st_size
        if self._ends_whole(size):
            return size
        end = _FILE_HEADER_BYTES
        for position, _ in self.records():
            end = position
        return end

    def offsets(self, end: int) -> dict[Stream, int]:
        """Where each stream goes on after the records before `end`."""
        offsets: dict[Stream, int] = {}
        for _, record in self.backward(end):
            offsets.setdefault(record.stream, record.offset + len(record.data))
            if len(offsets) == len(_NUMBERS):
                break
        return {name: offsets.get(name, 0) for name in _STREAMS.values()}

    def _ends_whole(self, size: int) -> bool:
        if size < _FILE_HEADER_BYTES + _HEADER.size + _TRAILER.size:
            return size == _FILE_HEADER_BYTES
        _, cookie = _TRAILER.unpack(os.pread(self._fd, _TRAILER.size, size - _TRAILER.size))
        return bool(cookie == self._closing)

    def _at(self, position: int) -> tuple[LogRecord, int] | None:
        """The record at `position` and the position behind it; None where it is not whole (yet)."""
        header = os.pread(self._fd, _HEADER.size, position)
        if len(header) < _HEADER.size:
            return None
        cookie, time_ns, offset, length, stream = _HEADER.unpack(header)
        if cookie != self._cookie or stream not in _STREAMS or length > MAX_RECORD_BYTES:
            raise Corrupt(f"{self._path} has no record at {position}", hint="remove the container")
        body = os.pread(self._fd, length + _TRAILER.size, position + _HEADER.size)
        if body[length:] != _TRAILER.pack(length, self._closing):
            return None
        return (
            LogRecord(_STREAMS[stream], time_ns, offset, body[:length]),
            position + _HEADER.size + length + _TRAILER.size,
        )


def _inverted(cookie: bytes) -> bytes:
    """What closes a record: not the cookie itself, or a torn header would look like an end."""
    return bytes(byte ^ 0xFF for byte in cookie)


def _write_at(fd: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, position)
        view, position = view[written:], position + written
