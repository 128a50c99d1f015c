"""TreeLayer: what changed from a directory of files to another, as the tar of an OCI layer.

As snapshot.layer_tar makes it of disks, but for the ids: files belong to those behind the container's map,
and in the layer to the container's own.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable, Iterator

from firkin.archive.entry import HARD_LINK, Entry
from firkin.archive.writer import END_OF_ARCHIVE, headers, is_storable, padding
from firkin.errors import Conflict, UsageError
from firkin.linux.beneath import open_beneath
from firkin.linux.id_map import IdMap, IdRanges
from firkin.rootfs.owners import ACLS, CAPABILITY, acl_with
from firkin.snapshot.diff import DELETED, Change
from firkin.snapshot.layer_tar import check_name, whiteout
from firkin.snapshot.tree_diff import attributes

_PIECE_BYTES = 1 << 18
_REVISION_MASK, _REVISION_2, _REVISION_3 = 0xFF000000, 0x02000000, 0x03000000
_SETS_BYTES, _REVISION_3_BYTES = 16, 24
"""vfs_cap_data behind its magic, and vfs_ns_cap_data (linux/capability.h)."""


class Ids:
    """From ids as whoever reads has them, whose map is `ours`, to those of the container with `id_map`."""

    def __init__(self, id_map: IdMap, ours: IdMap) -> None:
        self._uids = id_map.uids.through(ours.uids.turned).turned
        self._gids = id_map.gids.through(ours.gids.turned).turned

    def uid(self, number: int, path: bytes) -> int:
        """Raises UsageError where the container has no such id."""
        return _known(self._uids, "uid", number, path)

    def gid(self, number: int, path: bytes) -> int:
        return _known(self._gids, "gid", number, path)

    def attribute(self, name: bytes, value: bytes, path: bytes) -> bytes:
        """An attribute's value, with the ids in it. Raises UsageError."""
        if name in ACLS:
            return acl_with(value, lambda uid: self.uid(uid, path), lambda gid: self.gid(gid, path))
        if name == CAPABILITY and len(value) == _REVISION_3_BYTES:
            return self._capability(value)
        return value

    def _capability(self, value: bytes) -> bytes:
        """That of the container's root is nobody's in an image."""
        (magic,), (root,) = struct.unpack_from("<I", value), struct.unpack_from("<I", value, 4 + _SETS_BYTES)
        if magic & _REVISION_MASK != _REVISION_3 or self._uids.outside(root) != 0:
            return value
        return struct.pack("<I", magic & ~_REVISION_MASK | _REVISION_2) + value[4 : 4 + _SETS_BYTES]


def tree_layer(changes: Iterable[Change], root_fd: int, ids: Ids) -> Iterator[bytes]:
    """The layer that `changes`, up to the files in the directory `root_fd`, make. Raises UsageError, Conflict
    where they change meanwhile, OSError.

    Sockets are left out: they are what a process listens on.
    """
    linked: dict[tuple[int, int], bytes] = {}
    for change in changes:
        path = os.fsencode(change.path).strip(b"/")
        check_name(path)
        if change.kind == DELETED:
            yield whiteout(path)
        else:
            yield from _member(root_fd, path, ids, linked)
    yield END_OF_ARCHIVE


def _member(root_fd: int, path: bytes, ids: Ids, linked: dict[tuple[int, int], bytes]) -> Iterator[bytes]:
    fd = open_beneath(root_fd, path, os.O_PATH)
    try:
        status = os.fstat(fd)
        kind = stat.S_IFMT(status.st_mode)
        if not is_storable(kind):
            return
        uid, gid = ids.uid(status.st_uid, path), ids.gid(status.st_gid, path)
        entry = Entry(path or b".", kind, stat.S_IMODE(status.st_mode), uid, gid, 0, status.st_mtime_ns, b"")
        if kind != stat.S_IFDIR and status.st_nlink > 1:
            first = linked.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                entry.kind, entry.link = HARD_LINK, first
                yield headers(entry)
                return
        if kind == stat.S_IFLNK:
            entry.link = os.readlink(b"", dir_fd=fd)
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            entry.major, entry.minor = os.major(status.st_rdev), os.minor(status.st_rdev)
        elif kind == stat.S_IFDIR:
            entry.path += b"/"
        if kind not in (stat.S_IFREG, stat.S_IFDIR):
            yield headers(entry)
            return
        opened = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(fd)
    try:
        found = attributes(opened)
        entry.xattrs = {name: ids.attribute(name, value, path) for name, value in found.items()} or None
        entry.size = status.st_size if kind == stat.S_IFREG else 0
        yield headers(entry)
        if kind == stat.S_IFREG:
            yield from _content(opened, entry.size, path)
    finally:
        os.close(opened)


def _content(fd: int, size: int, path: bytes) -> Iterator[bytes]:
    at = 0
    while at < size:
        piece = os.pread(fd, min(_PIECE_BYTES, size - at), at)
        if not piece:
            raise Conflict(f"{os.fsdecode(b'/' + path)} changed while it was read", hint="commit again")
        at += len(piece)
        yield piece
    yield padding(size)


def _known(ranges: IdRanges, word: str, number: int, path: bytes) -> int:
    found = ranges.outside(number)
    if found is None:
        raise UsageError(
            f"{os.fsdecode(b'/' + path)} belongs to {word} {number}, which is none of the container's",
            hint="give it to one that is, or remove it",
        )
    return found
