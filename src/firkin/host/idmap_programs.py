"""newuidmap and newgidmap: whether they have, and keep, the right that they exist for."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec

from firkin.faults import ids
from firkin.faults.fault import Finding
from firkin.host.asker import Asker

_CAPABILITIES = {"newuidmap": 7, "newgidmap": 6}  # CAP_SETUID, CAP_SETGID


class Program(msgspec.Struct, frozen=True):
    """`path` is "" where it is missing; `mount` is the mount that it lies in."""

    name: str
    path: str = ""
    setuid: bool = True
    capable: bool = False
    nosuid: bool = False
    mount: str = "/"


class Facts(msgspec.Struct, frozen=True):
    programs: tuple[Program, ...] = ()


def gather(asker: Asker) -> Facts:
    return Facts(tuple(_program(asker, name) for name in _CAPABILITIES))


def _program(asker: Asker, name: str) -> Program:
    path = asker.program(name)
    if not path:
        return Program(name)
    status = os.stat(path)
    mount = asker.mount_of(Path(path))
    return Program(
        name,
        path,
        setuid=bool(status.st_mode & stat.S_ISUID) and status.st_uid == 0,
        capable=_capable(path, _CAPABILITIES[name]),
        nosuid=bool(os.statvfs(path).f_flag & os.ST_NOSUID),
        mount=mount.target if mount else "/",
    )


def _capable(path: str, capability: int) -> bool:
    """Whether struct vfs_cap_data of the file permits it."""
    try:
        record = os.getxattr(path, "security.capability")
    except OSError:
        return False
    return len(record) >= 8 and bool(struct.unpack_from("<I", record, 4)[0] >> capability & 1)


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    if asker.uid == 0:
        return  # root writes any map itself
    missing = [each.name for each in facts.programs if not each.path]
    if missing:
        yield ids.IDMAP_MISSING.found(f"{' and '.join(missing)} cannot be found")
    there = [each for each in facts.programs if each.path]
    if weak := [each.path for each in there if not (each.setuid or each.capable)]:
        what = f"{' and '.join(weak)}: neither the setuid bit of root nor the capability"
        yield ids.IDMAP_POWERLESS.found(what, path=weak[0])
    if held := [each for each in there if each.nosuid]:
        what = f"{' and '.join(each.path for each in held)}: mounted nosuid at {held[0].mount}"
        yield ids.IDMAP_NOSUID.found(what, path=held[0].path, mount=held[0].mount)
    if asker.no_new_privs:
        yield ids.NO_NEW_PRIVS.found()
