"""newuidmap and newgidmap (package uidmap): where they lie, whether they have the right they exist for."""

from __future__ import annotations

import os
import shutil
import stat
import struct

import msgspec

CAPABILITIES = {"newuidmap": 7, "newgidmap": 6}  # CAP_SETUID, CAP_SETGID
_PLACES = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/run/wrappers/bin"


class Program(msgspec.Struct, frozen=True):
    """`path` is "" where it is missing; `mount` is the mount that it lies in, where somebody asked."""

    name: str
    path: str = ""
    setuid: bool = True
    capable: bool = False
    nosuid: bool = False
    mount: str = "/"

    @classmethod
    def at(cls, name: str, path: str, mount: str = "/") -> Program:
        """The program `name` as it lies at `path`. Raises OSError."""
        status = os.stat(path)
        return cls(
            name,
            path,
            setuid=bool(status.st_mode & stat.S_ISUID) and status.st_uid == 0,
            capable=_capable(path, CAPABILITIES[name]),
            nosuid=bool(os.statvfs(path).f_flag & os.ST_NOSUID),
            mount=mount,
        )


def found(name: str) -> str:
    """Its absolute path, "" where it is not installed; no environment of a caller's has a say in it."""
    return shutil.which(name, path=_PLACES) or ""


def _capable(path: str, capability: int) -> bool:
    """Whether struct vfs_cap_data of the file permits it."""
    try:
        record = os.getxattr(path, "security.capability")
    except OSError:
        return False
    return len(record) >= 8 and bool(struct.unpack_from("<I", record, 4)[0] >> capability & 1)
