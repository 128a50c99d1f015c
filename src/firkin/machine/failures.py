"""Failures of a start: which of them may be gone when it is tried again.

    passing     this host was short of memory, processes or descriptors, or KVM was busy; the VMM was killed;
                a template was damaged (and is removed by then)
    for good    all others: what is missing or forbidden, a kernel that panics, a guest that restarts, a port
                that is taken, a deadline that passed (whoever waited so long is not to wait as long again)

The rule: nothing is tried again whose guest may have begun to do what it was told, which the caller knows.
"""

from __future__ import annotations

import errno

from firkin.errors import BootFailed

_PASSING = {errno.EAGAIN, errno.ENOMEM, errno.EBUSY, errno.ETXTBSY, errno.ENFILE, errno.EMFILE}
"""ETXTBSY: QEMU is being replaced by a newer one."""


def passing(error: BaseException) -> str:
    """What made `error` that may be gone soon; "" where the same would happen again."""
    if isinstance(error, BootFailed):
        return error.passing
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, OSError) and cause.errno in _PASSING:
        return f"this host said: {cause.strerror}"
    return ""
