"""A disk that one machine at a time may have: who has it holds the flock of its file, and inherits it.

The lock is on the descriptor itself that the VMM reads and writes through, so it lasts exactly as long as
that can happen, whoever dies. A block device is claimed from the kernel as well (open(2), O_EXCL), so that
nobody mounts it meanwhile.
"""

from __future__ import annotations

import errno
import fcntl
import os

from firkin.errors import InUse
from firkin.machine.spec import Disk


def hold(disk: Disk) -> int:
    """A descriptor of the file of `disk`, which nobody else has until it is closed everywhere; of one that is
    only read, nobody who writes to it. Raises InUse, OSError.
    """
    exclusive = os.O_EXCL if disk.on_device and not disk.readonly else 0
    how = (os.O_RDONLY if disk.readonly else os.O_RDWR) | os.O_CLOEXEC | exclusive
    try:
        fd = os.open(disk.path, how)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        raise InUse(
            f"{disk.held_as} is in use by this host", hint="unmount it first, or use another"
        ) from error
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if disk.readonly else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(fd), os.stat(disk.path)):  # another was put in its place just now
            raise BlockingIOError
    except BlockingIOError:
        os.close(fd)
        raise InUse(
            f"{disk.held_as} is in use by another machine", hint="stop that one first, or use another"
        ) from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_shared(fd: int, called: str) -> None:
    """Keep those who would hold the file of `fd` away, as long as anybody has `fd`. Raises InUse."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InUse(
            f"{called} is being written by another machine", hint="stop that one first, or use another"
        ) from None
