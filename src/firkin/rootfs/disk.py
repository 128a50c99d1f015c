"""DiskWriter: writes to an image file in a thread of its own, in few large calls.

Pieces that follow each other on the disk are gathered and written together with pwritev(2), straight from
where they lie, so content is never copied in user space.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Iterable
from typing import Self

from firkin.errors import StorageFull
from firkin.ext4 import BLOCK_BYTES, Extent
from firkin.linux.syscalls import checked, libc
from firkin.rootfs.pipe import Abandoned, Pipe

Buffer = bytes | memoryview

_DEPTH = 8
_BATCH_BYTES = 1 << 20
_BATCH_PIECES = 1000  # pwritev takes at most IOV_MAX, 1024
_WRITEBACK_BYTES = 4 << 20
_SYNC_FILE_RANGE_WRITE = 2
_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01
_ZEROS = bytes(BLOCK_BYTES)


class DiskWriter:
    """A context manager over an open file, which stays the caller's. After `finish()` all is written.

    Every method may raise StorageFull when the host's disk is full, or OSError, also for an earlier write.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._batches: Pipe[tuple[int, list[Buffer]]] = Pipe(_DEPTH)
        self._thread = threading.Thread(target=self._run, name="firkin-disk", daemon=True)
        self._failure: BaseException | None = None
        self._start = self._end = 0
        self._pieces: list[Buffer] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._batches.close()
        self._thread.join()

    def put(self, offset: int, piece: Buffer) -> None:
        """Write `piece` at `offset`, soon; it must not change any more."""
        if (
            offset != self._end
            or self._end - self._start >= _BATCH_BYTES
            or len(self._pieces) >= _BATCH_PIECES
        ):
            self._flush()
            self._start = offset
        self._pieces.append(piece)
        self._end = offset + len(piece)

    def pad(self) -> None:
        """Fill the block in which the last piece ended with zeros, so that the next one may follow it."""
        if short := -self._end % BLOCK_BYTES:
            self._pieces.append(_ZEROS[:short])
            self._end += short

    def finish(self) -> None:
        """Wait until everything is written."""
        self._flush()
        self._batches.close()
        self._thread.join()
        self._check()

    def _flush(self) -> None:
        self._check()
        if self._pieces:
            try:
                self._batches.put((self._start, self._pieces))
            except Abandoned:
                self._check()
            self._pieces = []

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        clean = 0
        try:
            while (batch := self._batches.get()) is not None:
                offset = batch[0]
                if not 0 <= offset - clean < _WRITEBACK_BYTES:
                    _start_writeback(self._fd, clean, offset)
                    clean = offset
                _write(self._fd, *batch)
        except OSError as error:
            self._failure = _explained(error)
            self._batches.abandon()


def _write(fd: int, offset: int, pieces: list[Buffer]) -> None:
    left = sum(map(len, pieces))
    while left:
        written = os.pwritev(fd, pieces, offset)
        left -= written
        offset += written
        if left:
            pieces = _after(pieces, written)


def _start_writeback(fd: int, start: int, end: int) -> None:
    """Have the kernel begin to write what lies between, so that the fsync in the end finds little left to do.

    Only a hint (sync_file_range(2)): a file system that cannot do it loses nothing but time.
    """
    if end > start:
        libc().sync_file_range(fd, ctypes.c_int64(start), ctypes.c_int64(end - start), _SYNC_FILE_RANGE_WRITE)


def _after(pieces: list[Buffer], written: int) -> list[Buffer]:
    """What a short write left."""
    for index, piece in enumerate(pieces):
        if written < len(piece):
            return [memoryview(piece)[written:], *pieces[index + 1 :]]
        written -= len(piece)
    return []


def _explained(error: OSError) -> BaseException:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    full = StorageFull(
        "the host's disk is full: a root file system could not be built", hint="free some space"
    )
    full.__cause__ = error
    return full


def clear(fd: int, extents: Iterable[Extent]) -> None:
    """Make `extents` of the image read as zeros: deleted files leave nothing behind. Raises OSError."""
    for start, count in extents:
        offset, length = start * BLOCK_BYTES, count * BLOCK_BYTES
        try:
            call = libc().fallocate(fd, _PUNCH_HOLE_KEEP_SIZE, ctypes.c_int64(offset), ctypes.c_int64(length))
            checked("fallocate", call)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            for block in range(count):
                os.pwrite(fd, _ZEROS, offset + block * BLOCK_BYTES)
