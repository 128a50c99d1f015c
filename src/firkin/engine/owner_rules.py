"""What may be done to the owners of this host's files that a container gets: -v's U and idmap."""

from __future__ import annotations

import os

from firkin.container.spec import Bind
from firkin.engine.options import RunOptions
from firkin.errors import HostUnsupported, UsageError
from firkin.volume.mount import VolumeMount

_SYSTEM = frozenset(
    ["/"] + [f"/{name}" for name in (
        "bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt", "opt", "proc",
        "root", "run", "sbin", "srv", "sys", "tmp", "usr", "usr/bin", "usr/lib", "usr/local", "usr/sbin",
        "usr/share", "var", "var/cache", "var/lib", "var/log", "var/tmp",
    )]
)  # fmt: skip
"""What no container may be given whole: this host would not work any more."""


def check_owners(options: RunOptions) -> None:
    """Refuse what cannot be done to the owners of files that a container gets. Raises UsageError,
    HostUnsupported.
    """
    mounts: list[Bind | VolumeMount] = [*options.binds, *options.storage.volumes]
    for mount in mounts:
        if not mount.owners:
            continue
        if options.isolation == "vm":
            raise UsageError(
                f"volume: {mount.owners} at {mount.target}: a machine has users of its own, who are none of "
                "this host's ids",
                hint="a volume that is a disk has any owners; or run it with --isolation namespace",
            )
        if mount.owners == "idmap" and os.geteuid() != 0:
            raise HostUnsupported(
                f"volume: idmap at {mount.target}: the kernel lets root alone map the owners of this host's "
                "files (mount_setattr(2))",
                hint="give them away (U), or keep your own id inside (--userns keep-id)",
            )
    for bind in options.binds:
        if bind.owners == "U":
            check_place(bind.source)


def check_place(path: str) -> None:
    """Refuse to give away what this host cannot do without. Raises UsageError."""
    if os.path.realpath(path) in _SYSTEM:
        raise UsageError(
            f"volume: U would give {path} to a container's user, and this host needs it",
            hint="name a directory below it",
        )
