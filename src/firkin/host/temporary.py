"""TemporaryDirectory: $TMPDIR, else /tmp."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from firkin.faults import files
from firkin.faults.fault import Finding
from firkin.host.asker import Asker
from firkin.units import format_size

_ENOUGH_BYTES = 256 << 20


class Facts(msgspec.Struct, frozen=True):
    path: str = "/tmp"
    present: bool = True
    writable: bool = True
    mode: int = 0o1777
    free_bytes: int = 1 << 40


def gather(asker: Asker) -> Facts:
    path = Path(asker.environ.get("TMPDIR") or "/tmp")
    try:
        status, disk = path.stat(), os.statvfs(path)
    except OSError:
        return Facts(str(path), present=False)
    return Facts(
        str(path),
        present=stat.S_ISDIR(status.st_mode),
        writable=os.access(path, os.W_OK | os.X_OK) and not disk.f_flag & os.ST_RDONLY,
        mode=stat.S_IMODE(status.st_mode),
        free_bytes=disk.f_bavail * disk.f_frsize,
    )


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    path = facts.path
    if not facts.present:
        yield files.TEMPORARY_MISSING.found(f"the temporary directory {path} is not there", path=path)
        return
    if not facts.writable:
        yield files.TEMPORARY_UNWRITABLE.found(f"{asker.user} may not write in {path}", path=path)
    if facts.mode & stat.S_IWOTH and not facts.mode & stat.S_ISVTX:
        what = f"{path} has the mode {facts.mode:04o}: everybody may remove everybody's files there"
        yield files.TEMPORARY_UNSTICKY.found(what, path=path)
    if facts.free_bytes < _ENOUGH_BYTES:
        yield files.TEMPORARY_SPACE.found(f"{format_size(facts.free_bytes)} are left in {path}", path=path)
