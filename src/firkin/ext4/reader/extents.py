"""Extent trees as they are read: an inode's 60 bytes, and tree blocks, to mappings in ascending order.

Documentation/filesystems/ext4/ifork.rst. A child covers what its parent's index says and nothing else; so a
tree that leads in a circle, or to one block twice, does not get past its first turn.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from firkin.ext4.checksum import extend, stored
from firkin.ext4.layout import BLOCK_BYTES
from firkin.ext4.node import Mapping
from firkin.ext4.reader.inode import EXTENTS, Inode

ReadBlock = Callable[[int], bytes]
"""One block by its number, which lies on the disk."""

_MAGIC = 0xF30A
_HEADER = struct.Struct("<HHHHI")
_LEAF = struct.Struct("<IHHI")
_INDEX = struct.Struct("<IIHH")
_ENTRY_BYTES = 12
_DEEPEST = 5
_LONGEST_WRITTEN = 32768
_END = 1 << 32
_DIRECT = struct.Struct("<12I")


def mappings(inode: Inode, blocks: int, read_block: ReadBlock) -> Iterator[Mapping]:
    """What of the inode's content lies on the disk of `blocks`; all else reads as zeros. Raises Corrupt."""
    if not inode.flags & EXTENTS:
        return _direct(inode, blocks)
    return _Tree(inode, blocks, read_block).below(inode.root, 0, _END, None)


def is_flat(inode: Inode) -> bool:
    """Whether the inode itself holds all its mappings."""
    return inode.root[6:8] == b"\0\0"


class _Tree:
    def __init__(self, inode: Inode, blocks: int, read_block: ReadBlock) -> None:
        self._inode, self._blocks, self._read_block = inode, blocks, read_block

    def below(self, node: bytes, first: int, end: int, expected_depth: int | None) -> Iterator[Mapping]:
        """The mappings of `node`, which covers the file's blocks from `first` to before `end`."""
        magic, count, most, depth, _ = _HEADER.unpack_from(node)
        room = (len(node) - _HEADER.size) // _ENTRY_BYTES
        is_sound = magic == _MAGIC and count <= most <= room and depth <= _DEEPEST
        if not is_sound or expected_depth not in (None, depth):
            raise self._inode.damaged(f"has an impossible node: {node[:12].hex()}")
        if depth == 0:
            return self._leaves(node, count, first, end)
        return self._branches(node, count, first, end, depth)

    def _leaves(self, node: bytes, count: int, first: int, end: int) -> Iterator[Mapping]:
        for at in range(_HEADER.size, _HEADER.size + count * _ENTRY_BYTES, _ENTRY_BYTES):
            logical, length, high, low = _LEAF.unpack_from(node, at)
            start = low | high << 32
            is_written = length <= _LONGEST_WRITTEN
            length -= 0 if is_written else _LONGEST_WRITTEN
            if not length or logical < first or logical + length > end:
                raise self._inode.damaged(f"maps its blocks out of order at {logical}")
            if not 0 < start <= self._blocks - length:
                raise self._inode.damaged(f"claims blocks beyond the end, at {start}")
            first = logical + length
            if is_written:
                yield logical, start, length

    def _branches(self, node: bytes, count: int, first: int, end: int, depth: int) -> Iterator[Mapping]:
        entries = [_INDEX.unpack_from(node, _HEADER.size + place * _ENTRY_BYTES) for place in range(count)]
        ends = [entry[0] for entry in entries[1:]] + [end]
        if not entries or any(not first <= entry[0] < to for entry, to in zip(entries, ends, strict=True)):
            raise self._inode.damaged("has an index out of order")
        for (logical, low, high, _), to in zip(entries, ends, strict=True):
            child = self._child(low | high << 32)
            yield from self.below(child, logical, to, depth - 1)

    def _child(self, number: int) -> bytes:
        if not 0 < number < self._blocks:
            raise self._inode.damaged(f"claims a block beyond the end, {number}")
        node = self._read_block(number)
        end = _HEADER.size + _ENTRY_BYTES * int.from_bytes(node[4:6], "little")
        if end + 4 > BLOCK_BYTES:
            raise self._inode.damaged(f"has an impossible node: {node[:12].hex()}")
        (checksum,) = struct.unpack_from("<I", node, end)
        if checksum != stored(extend(self._inode.state, node[:end])):
            raise self._inode.damaged(f"has a tree block, {number}, that does not match its checksum")
        return node[:end]


def _direct(inode: Inode, blocks: int) -> Iterator[Mapping]:
    """The old block map, to which `chattr -e` takes a file back whose blocks number no more than twelve."""
    if any(inode.root[_DIRECT.size :]):
        raise inode.damaged("has indirect blocks, which no kernel gives it there")
    for logical, start in enumerate(_DIRECT.unpack_from(inode.root)):
        if start >= blocks:
            raise inode.damaged(f"claims a block beyond the end, {start}")
        if start:
            yield logical, start, 1
