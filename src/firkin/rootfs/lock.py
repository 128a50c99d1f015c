"""KeyLocks: one lock for each key, all in one file that is never deleted.

A key's lock is one byte of rootfs/lock, at the offset that the key's hash says, held as an open file
description lock (fcntl(2)): it goes with its holder, whether that ends well or is killed. Two keys that share
a byte wait for each other without need, which harms nobody. It may be taken while holding the data
directory's shared lock.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FLOCK = struct.Struct("hhqqi4x")
_NAME = "lock"


@contextmanager
def locked(directory: Path, key: str) -> Iterator[None]:
    """Hold the lock of `key` in `directory`, waiting for it as long as it takes. Raises OSError."""
    with _lock_file(directory) as fd:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, _request(key))
        yield


@contextmanager
def locked_if_free(directory: Path, key: str) -> Iterator[bool]:
    """Hold the lock of `key` when nobody does; whether it is held. Raises OSError."""
    with _lock_file(directory) as fd:
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _request(key))
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            yield False
        else:
            yield True


@contextmanager
def _lock_file(directory: Path) -> Iterator[int]:
    fd = os.open(directory / _NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


def _request(key: str) -> bytes:
    (offset,) = struct.unpack("<Q", hashlib.sha256(key.encode()).digest()[:8])
    return _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, offset >> 2, 1, 0)
