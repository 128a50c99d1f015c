"""FileTar: one file of an ext4 as an entry of a tar, with all that is known of it. It is written whole."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from firkin.archive.entry import HARD_LINK, Entry
from firkin.archive.writer import headers, padding
from firkin.ext4.reader.file_system import FileSystem
from firkin.ext4.reader.inode import Inode

_ZEROS = bytes(1 << 16)


def file_tar(
    path: bytes, inode: Inode, system: FileSystem, linked: dict[int, bytes], *, mode_mask: int = 0o7777
) -> Iterator[bytes]:
    """`inode` at `path`, as part of a tar; `linked` knows by what name each file with several came first.

    Of the mode of what is no directory only `mode_mask` is kept. Raises Corrupt.
    """
    mode = stat.S_IMODE(inode.mode) if inode.kind == stat.S_IFDIR else inode.mode & mode_mask
    entry = Entry(
        path, inode.kind, mode, inode.uid, inode.gid, 0, inode.mtime_ns, b"",
        xattrs=system.xattrs(inode),
    )  # fmt: skip
    if inode.kind != stat.S_IFDIR and inode.links > 1:
        first = linked.setdefault(inode.number, path)
        if first != path:
            entry.kind, entry.link, entry.xattrs = HARD_LINK, first, None
            yield headers(entry)
            return
    match inode.kind:
        case stat.S_IFREG:
            entry.size = inode.size
            yield headers(entry)
            yield from _content(inode, system)
            yield padding(entry.size)
            return
        case stat.S_IFDIR:
            entry.path += b"/"
        case stat.S_IFLNK:
            entry.link = system.target(inode)
        case stat.S_IFCHR | stat.S_IFBLK:
            entry.major, entry.minor = os.major(inode.rdev), os.minor(inode.rdev)
    yield headers(entry)


def _content(inode: Inode, system: FileSystem) -> Iterator[bytes]:
    at = 0
    for offset, piece in system.data(inode):
        yield from _zeros(offset - at)
        yield piece
        at = offset + len(piece)
    yield from _zeros(inode.size - at)


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        part = min(count, len(_ZEROS))
        yield _ZEROS[:part]
        count -= part
