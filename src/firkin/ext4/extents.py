"""Extent trees: a file's mappings to the 60 bytes in its inode, and to tree blocks when they don't fit there.

Documentation/filesystems/ext4/ifork.rst, "Extent Tree". The inode's root holds four entries; a block 340.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from firkin.ext4.checksum import extend, stored
from firkin.ext4.layout import BLOCK_BYTES
from firkin.ext4.node import Mapping
from firkin.ext4.space import Extent

_MAGIC = 0xF30A
_HEADER = struct.Struct("<HHHHI")
_LEAF = struct.Struct("<IHHI")
_INDEX = struct.Struct("<IIHH")
_ONE_LEAF = struct.Struct("<HHHHIIHHI36x")
_ROOT_ENTRIES = 4
_BLOCK_ENTRIES = (BLOCK_BYTES - _HEADER.size - 4) // _LEAF.size

EMPTY_ROOT = _HEADER.pack(_MAGIC, 0, _ROOT_ENTRIES, 0, 0).ljust(60, b"\0")

PutBlock = Callable[[bytes], int]
"""Allocates a block, writes it, and returns its number."""


def mapped(extents: Sequence[Extent], first: int = 0) -> list[Mapping]:
    """`extents` laid one after the other from the file's block `first` on."""
    mappings = []
    for start, count in extents:
        mappings.append((first, start, count))
        first += count
    return mappings


def root_of_one(mapping: Mapping) -> bytes:
    """i_block of an inode with this one mapping."""
    logical, start, count = mapping
    return _ONE_LEAF.pack(_MAGIC, 1, _ROOT_ENTRIES, 0, 0, logical, count, start >> 32, start & 0xFFFFFFFF)


def root(mappings: Sequence[Mapping], state: int, put_block: PutBlock) -> tuple[bytes, int]:
    """i_block of an inode with these mappings, and how many tree blocks were put beside it.

    `state` is the inode's checksum state.
    """
    entries = [
        (logical, _LEAF.pack(logical, count, at >> 32, at & 0xFFFFFFFF)) for logical, at, count in mappings
    ]
    depth = blocks = 0
    while len(entries) > _ROOT_ENTRIES:
        level = []
        for at in range(0, len(entries), _BLOCK_ENTRIES):
            members = entries[at : at + _BLOCK_ENTRIES]
            number = put_block(_tree_block(members, depth, state))
            level.append((members[0][0], _INDEX.pack(members[0][0], number & 0xFFFFFFFF, number >> 32, 0)))
        entries, depth, blocks = level, depth + 1, blocks + len(level)
    header = _HEADER.pack(_MAGIC, len(entries), _ROOT_ENTRIES, depth, 0)
    return (header + b"".join(entry for _, entry in entries)).ljust(60, b"\0"), blocks


def _tree_block(entries: Sequence[tuple[int, bytes]], depth: int, state: int) -> bytes:
    header = _HEADER.pack(_MAGIC, len(entries), _BLOCK_ENTRIES, depth, 0)
    content = (header + b"".join(entry for _, entry in entries)).ljust(BLOCK_BYTES - 4, b"\0")
    return content + struct.pack("<I", stored(extend(state, content)))
