"""A FileSystem: files by path and by number, and what is in them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import Protocol

from firkin.errors import NotFound
from firkin.ext4.layout import BLOCK_BYTES, DESCRIPTOR_BYTES, INODE_BYTES
from firkin.ext4.node import Mapping
from firkin.ext4.reader.damage import damaged
from firkin.ext4.reader.directory import Entry, Names, add_names
from firkin.ext4.reader.extents import mappings
from firkin.ext4.reader.geometry import SUPERBLOCK_AT, SUPERBLOCK_BYTES, Geometry
from firkin.ext4.reader.inode import Inode, decode
from firkin.ext4.reader.xattr import Attributes, add_block, add_tail

ROOT = 2
PATH_BYTES = 4096
"""The longest path that is followed, as PATH_MAX: no program can name more in one word."""

_FAST_TARGET_BYTES = 60
_PIECE_BLOCKS = 256
_WINDOW_BYTES = 64 << 10
"""Inodes are read by the cluster of a disk's layers, in which they lie together."""
_MOST_WINDOWS = 128


class Source(Protocol):
    """A disk."""

    @property
    def size_bytes(self) -> int: ...

    def read(self, offset: int, size: int) -> bytes: ...


class FileSystem:
    """The file system on a `source`, which stays the caller's and must not change meanwhile.

    All methods raise Corrupt, and whatever reading the source raises. It is for one walk: when it has read
    more blocks of directories and of extent trees than it holds blocks at all, some are claimed by many, and
    that is Corrupt too.
    """

    def __init__(self, source: Source, name: str = "an ext4 file system") -> None:
        """`name` stands for it in errors."""
        self.source = source
        if source.size_bytes < SUPERBLOCK_AT + SUPERBLOCK_BYTES:
            raise damaged("the superblock", name, "does not fit its disk")
        self.geometry = Geometry.parse(source.read(SUPERBLOCK_AT, SUPERBLOCK_BYTES), source.size_bytes, name)
        self._left_blocks = 2 * self.geometry.blocks
        self._tables: dict[int, int] = {}
        self._windows: dict[int, bytes] = {}

    def raw_inode(self, number: int) -> bytes:
        """The 256 bytes of inode `number`, not verified."""
        geometry = self.geometry
        if number != ROOT and not geometry.first_inode <= number <= geometry.inodes:
            raise damaged(f"inode {number}", geometry.name, "is named, but does not exist")
        group, place = divmod(number - 1, geometry.inodes_per_group)
        table = self._tables.get(group)
        if table is None:
            table = self._tables[group] = geometry.inode_table(group, self._descriptor(group)) * BLOCK_BYTES
        at = table + place * INODE_BYTES
        window = at // _WINDOW_BYTES
        start = at - window * _WINDOW_BYTES
        return self._window(window)[start : start + INODE_BYTES]

    def inode(self, number: int) -> Inode:
        """Inode `number`, which is in use."""
        return decode(self.raw_inode(number), number, self.geometry)

    def mappings(self, inode: Inode) -> Iterator[Mapping]:
        """Where the content of `inode` lies, ascending; what is left out reads as zeros."""
        return mappings(inode, self.geometry.blocks, self._tree_block)

    def spend(self, blocks: int, inode: Inode) -> None:
        """Note that `blocks` of `inode` are read; Corrupt when it is more than a sound file system has."""
        self._left_blocks -= blocks
        if self._left_blocks < 0:
            raise inode.damaged("has blocks that others have, too")

    def entries(self, directory: Inode) -> Names:
        """The names in `directory`, without `.` and `..`, in the order of its blocks."""
        if directory.kind != stat.S_IFDIR:
            raise directory.damaged("is not a directory")
        names: Names = {}
        place, end = 0, directory.size // BLOCK_BYTES
        for logical, start, count in self.mappings(directory):
            if logical >= end:
                break  # allocated ahead
            if logical != place:
                raise directory.damaged(f"has no block {place}")
            count = min(count, end - place)
            self.spend(count, directory)
            for each in range(start, start + count):
                add_names(names, self._block(each), place, directory)
                place += 1
        if place != end:
            raise directory.damaged(f"has no block {place}")
        return names

    def child(self, entry: Entry) -> Inode:
        """The inode of a directory's entry, which is of the type that the entry says."""
        inode = self.inode(entry.number)
        if _FILE_TYPES[inode.kind] != entry.file_type:
            raise inode.damaged(f"is of another type than its name says: {entry.file_type}")
        return inode

    def target(self, link: Inode) -> bytes:
        """Where a symbolic link leads."""
        if link.kind != stat.S_IFLNK:
            raise link.damaged("is not a symbolic link")
        stored = self.data(link) if link.has_blocks else [(0, link.root[: link.size])]
        target = b"".join(piece for _, piece in stored)
        if len(target) != link.size or not target or b"\0" in target:
            raise link.damaged(f"has an impossible target of {link.size} bytes")
        return target

    def xattrs(self, inode: Inode) -> Attributes:
        """The extended attributes of `inode` by full name, as getxattr(2) gives them."""
        found: Attributes = {}
        add_tail(found, inode)
        if at := inode.attribute_block:
            if at >= self.geometry.blocks:
                raise inode.damaged(f"claims a block beyond the end, {at}")
            add_block(found, self._block(at), self.geometry.seed, inode)
        return found

    def data(self, file: Inode) -> Iterator[tuple[int, bytes]]:
        """(offset, bytes) of a file's content, ascending, at most 1 MiB each, up to its size.

        What is left out, between them and up to the size, is zeros.
        """
        for logical, start, count in self.mappings(file):
            for skipped in range(0, count, _PIECE_BLOCKS):
                offset = (logical + skipped) * BLOCK_BYTES
                size = min(min(_PIECE_BLOCKS, count - skipped) * BLOCK_BYTES, file.size - offset)
                if size <= 0:
                    return
                yield offset, self.source.read((start + skipped) * BLOCK_BYTES, size)

    def lookup(self, path: bytes) -> Inode:
        """The inode at an absolute `path`; links are not followed. Raises NotFound."""
        inode = self.inode(ROOT)
        for name in filter(None, path.split(b"/")):
            entry = self.entries(inode).get(name) if inode.kind == stat.S_IFDIR else None
            if entry is None:
                raise NotFound(f"there is no {path!r} in the file system", hint="look for a typing error")
            inode = self.child(entry)
        return inode

    def walk(self, path: bytes = b"/") -> Iterator[tuple[bytes, Inode]]:
        """`path` and all below it, each directory before what is in it, names in the order of their bytes.

        Raises NotFound.
        """
        start = b"/" + path.strip(b"/")
        inode = self.lookup(start)
        yield start, inode
        seen: set[int] = set()
        levels = [self._members(start, inode, seen)] if inode.kind == stat.S_IFDIR else []
        while levels:
            if (found := next(levels[-1], None)) is None:
                levels.pop()
                continue
            yield found
            if found[1].kind == stat.S_IFDIR:
                levels.append(self._members(*found, seen))

    def _members(self, path: bytes, directory: Inode, seen: set[int]) -> Iterator[tuple[bytes, Inode]]:
        if directory.number in seen:
            raise directory.damaged("is a directory in two places")
        seen.add(directory.number)
        prefix = path if path == b"/" else path + b"/"
        for name, entry in sorted(self.entries(directory).items()):
            yield joined(prefix, name, directory), self.child(entry)

    def _descriptor(self, group: int) -> bytes:
        block, at = self.geometry.descriptor_place(group)
        if block >= self.geometry.blocks:
            raise damaged(f"group {group}", self.geometry.name, "has no descriptor")
        return self.source.read(block * BLOCK_BYTES + at, DESCRIPTOR_BYTES)

    def _window(self, number: int) -> bytes:
        """Of the disk's windows, the one of that `number`; those read last are kept."""
        window = self._windows.get(number)
        if window is None:
            if len(self._windows) >= _MOST_WINDOWS:
                del self._windows[next(iter(self._windows))]
            at = number * _WINDOW_BYTES
            window = self.source.read(at, min(_WINDOW_BYTES, self.source.size_bytes - at))
            self._windows[number] = window
        return window

    def _tree_block(self, number: int) -> bytes:
        self._left_blocks -= 1
        if self._left_blocks < 0:
            raise damaged(f"block {number}", self.geometry.name, "is used as a tree block again and again")
        return self._block(number)

    def _block(self, number: int) -> bytes:
        return self.source.read(number * BLOCK_BYTES, BLOCK_BYTES)


_FILE_TYPES = {
    stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4,
    stat.S_IFIFO: 5, stat.S_IFSOCK: 6, stat.S_IFLNK: 7,
}  # fmt: skip


def joined(prefix: bytes, name: bytes, directory: Inode) -> bytes:
    """The path of `name` in a directory whose path with a slash is `prefix`. Raises Corrupt."""
    if len(prefix) + len(name) >= PATH_BYTES:
        raise directory.damaged(f"lies so deep that its names have paths beyond {PATH_BYTES} bytes")
    return prefix + name
