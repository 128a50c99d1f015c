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
from firkin.ext4.reader.directory import Names
from firkin.ext4.reader.file_system import ROOT, FileSystem
from firkin.ext4.reader.inode import Inode
from firkin.rootfs.file_tar import file_tar
from firkin.snapshot.diff import DELETED, Change

_WHITEOUT = b".wh."


def layer_tar(changes: Iterable[Change], system: FileSystem) -> Iterator[bytes]:
    """The layer that `changes`, up to the state of `system`, make. Raises Corrupt, UsageError.

    Sockets are left out: they are what a process listens on.
    """
    walk = _Walk(system)
    linked: dict[int, bytes] = {}
    for change in changes:
        path = os.fsencode(change.path).strip(b"/")
        parent, _, name = path.rpartition(b"/")
        if name.startswith(_WHITEOUT):
            raise UsageError(
                f"{change.path} cannot be in an image: in a layer its name means that something was removed",
                hint="rename or remove it",
            )
        if change.kind == DELETED:
            hidden = parent + b"/" * bool(parent) + _WHITEOUT + name
            yield headers(Entry(hidden, stat.S_IFREG, 0, 0, 0, 0, 0, b""))
            continue
        inode = walk.inode(path)
        if is_storable(inode.kind):
            yield from file_tar(path or b".", inode, system, linked)
    yield END_OF_ARCHIVE


class _Walk:
    """Looks up paths that come in order, reading each directory once."""

    def __init__(self, system: FileSystem) -> None:
        self._system = system
        self._trail: list[tuple[bytes, Names]] = [(b"", system.entries(system.inode(ROOT)))]

    def inode(self, path: bytes) -> Inode:
        if not path:
            return self._system.inode(ROOT)
        *above, name = path.split(b"/")
        depth = 0
        while depth < min(len(above), len(self._trail) - 1) and self._trail[depth + 1][0] == above[depth]:
            depth += 1
        del self._trail[depth + 1 :]
        for each in above[depth:]:
            inode = self._system.child(self._trail[-1][1][each])
            self._trail.append((each, self._system.entries(inode)))
        return self._system.child(self._trail[-1][1][name])
