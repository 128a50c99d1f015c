"""The flocks of one container's directory.

`lock` is its owner's, `alive` its VMM's. They are taken in that order; no other lock is taken under them, but
that of names/. Lock files live and die with the directory.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from firkin.errors import InUse
from firkin.store.files import disk_errors
from firkin.store.lock import try_flock

_PATIENCE_S = 0.2
"""Readers that look whether a lock is held hold it themselves, shared, for microseconds."""


class Lock:
    """A flock that is held until close(), or by whoever inherited `fd`."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        """Let go of our copy. May be called twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def take(path: Path, complaint: str) -> Lock:
    """Hold the lock on `path`. Raises InUse, which says `complaint`, where somebody else does."""
    with disk_errors(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)  # a damaged record may lack it
    end = time.monotonic() + _PATIENCE_S
    while not try_flock(fd):
        if time.monotonic() > end:
            os.close(fd)
            raise InUse(complaint, hint="stop it first, or ask its owner")
        time.sleep(0.005)
    return Lock(fd)


def holders(path: Path) -> list[int]:
    """The processes that have `path` open, as far as proc(5) shows them to us."""
    target = os.path.realpath(path)
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            fds = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
        except OSError:  # it is gone, or not ours
            continue
        if target in fds:
            found.append(int(pid))
    return found


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock on `path`."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_flock(fd, shared=True)
    finally:
        os.close(fd)
