"""LayerTar: what changed from one disk to another, as the tar of an OCI layer.

Changes come as snapshot.diff tells them: in the order of their paths, each directory before what is in it.
The same disks always give the same bytes. Files are written whole, as the spec asks (layer.md).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from firkin.archive.entry import Entry
from firkin.archive.writer import END_OF_ARCHIVE, headers, is_storable
from firkin.errors import UsageError
from firkin.ext4.reader.file_system import FileSystem
from firkin.rootfs.file_tar import file_tar
from firkin.snapshot.diff import DELETED, Change
from firkin.snapshot.trail import Trail

_WHITEOUT = b".wh."


def layer_tar(changes: Iterable[Change], system: FileSystem) -> Iterator[bytes]:
    """The layer that `changes`, up to the state of `system`, make. Raises Corrupt, UsageError.

    Sockets are left out: they are what a process listens on.
    """
    trail = Trail(system)
    linked: dict[int, bytes] = {}
    for change in changes:
        path = os.fsencode(change.path).strip(b"/")
        check_name(path)
        if change.kind == DELETED:
            yield whiteout(path)
            continue
        inode = trail.find(tuple(filter(None, path.split(b"/"))))
        if inode is not None and is_storable(inode.kind):
            yield from file_tar(path or b".", inode, system, linked)
    yield END_OF_ARCHIVE


def check_name(path: bytes) -> None:
    """Raise UsageError where `path` would mean something else in a layer."""
    if path.rpartition(b"/")[2].startswith(_WHITEOUT):
        raise UsageError(
            f"/{os.fsdecode(path)} cannot be in an image: in a layer its name means that something was "
            "removed",
            hint="rename or remove it",
        )


def whiteout(path: bytes) -> bytes:
    """What in a layer says that `path` was removed."""
    parent, slash, name = path.rpartition(b"/")
    return headers(Entry(parent + slash + _WHITEOUT + name, stat.S_IFREG, 0, 0, 0, 0, 0, b""))
