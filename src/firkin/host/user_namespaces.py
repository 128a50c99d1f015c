"""User namespaces: made, filled and used in a child, since one step's success says nothing of the next.

Ubuntu's AppArmor lets unshare(2) through and denies what follows; a limit shows as ENOSPC.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import msgspec

from firkin.faults import ids
from firkin.faults.fault import Finding
from firkin.host import reading
from firkin.host.asker import Asker
from firkin.linux.ask import ask
from firkin.linux.mounts import CLONE_NEWNS, CLONE_NEWUSER, MS_PRIVATE, MS_REC, mount, unshare
from firkin.linux.syscalls import libc
from firkin.linux.userns_denied import APPARMOR, CLONING, Denials, denier

_DEADLINE_S = 2.0
_ENOUGH = 3
"""A container takes two, with keep-id three."""


class Facts(msgspec.Struct, frozen=True):
    """`failed` is the step of the trial that failed ("" where none did), with `error`, its errno."""

    present: bool = True
    failed: str = ""
    error: int = 0
    most_users: int | None = None
    most_mounts: int | None = None
    cloning: int | None = None
    """kernel.unprivileged_userns_clone, which Debian's kernels have."""
    apparmor: int | None = None
    """kernel.apparmor_restrict_unprivileged_userns, which Ubuntu's have."""


def gather(asker: Asker) -> Facts:
    libc()  # loaded here: a forked child must not
    step, _, number = ask(lambda: _trial(asker.uid, asker.gid), _DEADLINE_S).decode().partition(":")
    return Facts(
        present=os.path.exists("/proc/self/ns/user"),
        failed="" if step == "done" else step or "unshare",
        error=int(number or 0),
        most_users=reading.number("/proc/sys/user/max_user_namespaces"),
        most_mounts=reading.number("/proc/sys/user/max_mnt_namespaces"),
        cloning=reading.number(CLONING),
        apparmor=reading.number(APPARMOR),
    )


def _trial(uid: int, gid: int) -> bytes:
    """The step that failed and its errno, or done. In a child."""
    step = "unshare"
    try:
        unshare(CLONE_NEWUSER | CLONE_NEWNS)
        step = "map"
        for name, line in (("setgroups", "deny"), ("gid_map", f"0 {gid} 1"), ("uid_map", f"0 {uid} 1")):
            fd = os.open(f"/proc/self/{name}", os.O_WRONLY)
            os.write(fd, line.encode())
            os.close(fd)
        step = "mount"
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
        mount("tmpfs", "/", "tmpfs")
    except OSError as error:
        return f"{step}:{error.errno}".encode()
    return b"done"


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    if not facts.present:
        yield ids.USERNS_ABSENT.found()
    elif facts.error == errno.ENOSPC or (facts.most_users is not None and facts.most_users < _ENOUGH):
        yield _limited(facts)
    elif facts.failed:
        yield _denied(asker, facts)


def _limited(facts: Facts) -> Finding:
    few = [each for each in (facts.most_users, facts.most_mounts) if each is not None]
    of_mounts = facts.most_mounts is not None and facts.most_mounts == min(few) != facts.most_users
    sysctl = "user.max_mnt_namespaces" if of_mounts else "user.max_user_namespaces"
    value = facts.most_mounts if of_mounts else facts.most_users
    return ids.USERNS_LIMITED.found(f"{sysctl} is {value}, and no more namespaces may be made", sysctl=sysctl)


def _denied(asker: Asker, facts: Facts) -> Finding:
    said = f"{facts.failed} answers {os.strerror(facts.error) if facts.error else 'nothing'}"
    fault = denier(
        facts.failed, facts.error, Denials(asker.uid, asker.filtered, facts.cloning, facts.apparmor)
    )
    return fault.found(f"{fault.title}: {said}")
