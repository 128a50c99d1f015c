"""Opening what lies in a directory that a stranger fills: openat2(2), Linux 5.6.

The rule: what is opened is in that directory, whatever links and `..` it was reached by. A device or a FIFO
is opened only where a caller asks for its content.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct

from firkin.linux.syscalls import syscall

_SYS_OPENAT2 = 437
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH, _IN_ROOT = 0x02, 0x04, 0x08, 0x10


def open_beneath(root_fd: int, path: bytes, flags: int) -> int:
    """What lies at `path` below the directory `root_fd`; no link is followed. Raises OSError."""
    return _open(root_fd, path or b".", flags | os.O_NOFOLLOW, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS)


def read_in_root(root: str, path: bytes, limit_bytes: int) -> bytes:
    """The first bytes of a file, found as in a process whose root that directory is; nothing where there is
    none, or no file. Raises OSError.
    """
    root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = _open(root_fd, path, os.O_PATH, _IN_ROOT | _NO_MAGICLINKS)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    finally:
        os.close(root_fd)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return b""
        with open(f"/proc/self/fd/{fd}", "rb") as file:
            return file.read(limit_bytes)
    finally:
        os.close(fd)


def _open(root_fd: int, path: bytes, flags: int, resolve: int) -> int:
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, resolve)
    at, size = ctypes.c_int(root_fd), ctypes.c_size_t(len(how))
    return syscall(f"openat2 {os.fsdecode(path)}", _SYS_OPENAT2, at, path, how, size)
