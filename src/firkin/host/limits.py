"""Limits: inotify's, and how many files a process may open."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import msgspec

from firkin.faults import kernel
from firkin.faults.fault import Finding
from firkin.host import reading
from firkin.host.asker import Asker

_INSTANCES, _WATCHES, _FILES = 128, 8192, 4096
"""What distributions give at least; a hundred containers fit."""


class Facts(msgspec.Struct, frozen=True):
    """None where the kernel does not tell; files: None is no limit."""

    instances: int | None = _INSTANCES
    watches: int | None = _WATCHES
    files: int | None = None


def gather(asker: Asker) -> Facts:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return Facts(
        reading.number("/proc/sys/fs/inotify/max_user_instances"),
        reading.number("/proc/sys/fs/inotify/max_user_watches"),
        None if hard == resource.RLIM_INFINITY else hard,
    )


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    few = [
        f"fs.inotify.max_user_{name} is {value}"
        for name, value, least in (
            ("instances", facts.instances, _INSTANCES),
            ("watches", facts.watches, _WATCHES),
        )
        if value is not None and value < least
    ]
    if few:
        yield kernel.INOTIFY_FEW.found(", ".join(few))
    if facts.files is not None and facts.files < _FILES:
        what = f"a process may open {facts.files} files at most, and {_FILES} are not too many"
        yield kernel.FILES_FEW.found(what, user=asker.user)
