"""What kind of file system a file lies in (statfs(2)).

The rule: it answers for what the kernel does with the file, not for where it is mounted.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from firkin.linux.syscalls import checked, libc

_TMPFS_MAGIC = 0x01021994  # linux/magic.h
_STATFS_LONGS = 32
"""More than struct statfs has; its first is f_type."""


def is_tmpfs(path: Path) -> bool:
    """Whether `path` lies in memory (tmpfs(5)), where reading a mapped hole takes room. Raises OSError."""
    found = (ctypes.c_long * _STATFS_LONGS)()
    checked("statfs", libc().statfs(os.fsencode(path), found))
    return found[0] == _TMPFS_MAGIC
