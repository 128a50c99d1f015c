"""Who denied a user namespace, or the rights that it gives: the most certain sign first.

The rule: pure, from what failed and what the kernel says of itself to a fault of the doctor's.
"""

from __future__ import annotations

import errno
import os

import msgspec

from firkin.faults import ids
from firkin.faults.fault import Fault

CLONING = "/proc/sys/kernel/unprivileged_userns_clone"
APPARMOR = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_DENIED = (errno.EPERM, errno.EACCES, errno.ENOSYS)


class Denials(msgspec.Struct, frozen=True):
    """What may deny it. `filtered`: a seccomp filter is on us. None: the kernel has no such file."""

    uid: int
    filtered: bool = False
    cloning: int | None = None
    """kernel.unprivileged_userns_clone, which Debian's kernels have."""
    apparmor: int | None = None
    """kernel.apparmor_restrict_unprivileged_userns, which Ubuntu's have."""

    @classmethod
    def here(cls) -> Denials:
        return cls(os.geteuid(), _filtered(), _number(CLONING), _number(APPARMOR))


def denier(failed: str, error: int, denials: Denials) -> Fault:
    """`failed` is the step: "unshare" makes the namespace, others use it."""
    if failed == "unshare" and denials.cloning == 0 and denials.uid != 0:
        return ids.USERNS_SYSCTL
    if denials.filtered and error in _DENIED:
        return ids.USERNS_SECCOMP
    if denials.apparmor and failed != "unshare":
        return ids.USERNS_APPARMOR
    return ids.USERNS_DENIED if failed == "unshare" else ids.USERNS_POWERLESS


def _filtered() -> bool:
    with open("/proc/self/status") as status:
        return any(line.split() == ["Seccomp:", "2"] for line in status)


def _number(path: str) -> int | None:
    try:
        with open(path) as file:
            return int(file.read(64))
    except (OSError, ValueError):
        return None
