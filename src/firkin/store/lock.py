"""Locks on files by flock(2). The kernel lets go when the holder dies, so a lock never outlives its owner."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from firkin.errors import InUse
from firkin.store.files import disk_errors

_POLL_S = 0.02


def try_flock(fd: int, *, shared: bool = False) -> bool:
    """Lock the open file `fd` without waiting; False where somebody else's open file holds it."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path, *, shared: bool, deadline_s: float, what: str) -> Iterator[None]:
    """Hold the lock on the file `path`, which is made when missing and never deleted, while the block runs.

    Polls, so that a signal gets through. Raises InUse, which says that `what` is in use, after `deadline_s`.
    """
    with disk_errors(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + deadline_s
        while not try_flock(fd, shared=shared):
            if time.monotonic() > end:
                raise InUse(f"{what} (waited {deadline_s:g} s for the lock {path})", hint="try again later")
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(fd)
