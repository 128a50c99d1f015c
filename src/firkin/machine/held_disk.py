"""A disk that one machine at a time may have: who has it holds the flock of its file, and inherits it.

The lock is on the descriptor itself that the VMM reads and writes through, so it lasts exactly as long as
that can happen, whoever dies.
"""

from __future__ import annotations

import fcntl
import os

from firkin.errors import InUse
from firkin.machine.spec import Disk


def hold(disk: Disk) -> int:
    """A descriptor of the file of `disk`, which nobody else has until it is closed everywhere. Raises InUse,
    OSError.
    """
    fd = os.open(disk.path, (os.O_RDONLY if disk.readonly else os.O_RDWR) | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
