"""The few system calls that Python's os module lacks.

The rule: flags and numbers are the kernel's (uapi headers), a failure is an OSError that names the call, and
nothing here allocates or imports when it is called, since forked children call it before they exec.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2

CLOSE_RANGE_CLOEXEC = 4
_SYS_CLOSE_RANGE = 436
_CAPABILITY_VERSION_3 = 0x20080522


@cache
def libc() -> ctypes.CDLL:
    """The C library of this process, with errno kept for each call."""
    return ctypes.CDLL(None, use_errno=True)


def checked(call: str, result: int) -> int:
    """`result`, or the OSError that errno tells of when it is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def prctl(option: int, *args: int) -> int:
    """prctl(2). Raises OSError."""
    padded = (*args, 0, 0, 0, 0)[:4]
    return checked("prctl", libc().prctl(option, *(ctypes.c_ulong(each) for each in padded)))


def syscall(call: str, number: int, *args: object) -> int:
    """syscall(2) by `number`; `call` is its name in the error. Raises OSError."""
    return checked(call, libc().syscall(ctypes.c_long(number), *args))


def syncfs(fd: int) -> None:
    """Write down all that its file system has not yet (syncfs(2)). Raises OSError."""
    checked("syncfs", libc().syncfs(ctypes.c_int(fd)))


def set_cloexec_from(first_fd: int) -> None:
    """Mark every descriptor from `first_fd` on close-on-exec (close_range(2), Linux 5.11). Raises OSError."""
    last = ctypes.c_uint(0xFFFFFFFF)
    syscall(
        "close_range", _SYS_CLOSE_RANGE, ctypes.c_uint(first_fd), last, ctypes.c_uint(CLOSE_RANGE_CLOEXEC)
    )


def set_capabilities(mask: int) -> None:
    """Make `mask` the effective, permitted and inheritable set of this thread (capset(2)). Raises OSError."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    sets = (ctypes.c_uint32 * 6)(low, low, low, high, high, high)
    checked("capset", libc().capset(header, sets))
