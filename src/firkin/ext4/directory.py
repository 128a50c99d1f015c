"""Directories: names and inode numbers to the blocks of a directory file.

What fits one block is a plain list. Larger ones get the kernel's hash tree (dir_index): leaves sorted by
hash, an index of them in the first block, and one more level of index when that is full.
Documentation/filesystems/ext4/directory.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from firkin.errors import StorageFull
from firkin.ext4.checksum import extend, stored
from firkin.ext4.dirhash import half_md4
from firkin.ext4.layout import BLOCK_BYTES

HALF_MD4 = 1

_ENTRY = struct.Struct("<IHBB")
_TAIL = struct.Struct("<IHBBI")
_DIRECTORY_TYPE, _TAIL_TYPE = 2, 0xDE
_LIST_BYTES = BLOCK_BYTES - _TAIL.size
_DOTS_BYTES = 24
# An index block ends with 8 bytes for its checksum; the root keeps `.`, `..` and dx_root_info in front.
_ROOT_AT, _NODE_AT = 32, 8
_ROOT_LIMIT = (BLOCK_BYTES - _ROOT_AT - 8) // 8
_NODE_LIMIT = (BLOCK_BYTES - _NODE_AT - 8) // 8


Names = Sequence[tuple[bytes, int, int]]
"""(name, inode number, file type) of each entry."""

Seed = tuple[int, int, int, int]


def blocks(names: Names, own: int, parent: int, state: int, seed: Seed) -> tuple[list[bytes], bool]:
    """The directory's blocks in order, and whether they are a hash tree.

    `own` and `parent` are inode numbers, `state` the directory's checksum state. Raises StorageFull.
    """
    if _DOTS_BYTES + sum([len(name) + 11 & ~3 for name, _, _ in names]) <= _LIST_BYTES:
        dots = [(b".", own, _DIRECTORY_TYPE), (b"..", parent, _DIRECTORY_TYPE)]
        return [_list_block([*dots, *names], state)], False
    return _tree(names, own, parent, state, seed), True


def _list_block(names: Iterable[tuple[bytes, int, int]], state: int) -> bytes:
    block = bytearray(BLOCK_BYTES)
    pack = _ENTRY.pack_into
    at = last = 0
    for name, number, file_type in names:
        length = len(name)
        last, size = at, length + 11 & ~3  # 8 bytes in front of the name; entries are aligned to 4
        pack(block, at, number, size, length, file_type)
        block[at + 8 : at + 8 + length] = name
        at += size
    struct.pack_into("<H", block, last + 4, _LIST_BYTES - last)
    _TAIL.pack_into(block, _LIST_BYTES, 0, _TAIL.size, 0, _TAIL_TYPE, 0)
    struct.pack_into("<I", block, BLOCK_BYTES - 4, stored(extend(state, bytes(block[:_LIST_BYTES]))))
    return bytes(block)


def _tree(names: Names, own: int, parent: int, state: int, seed: Seed) -> list[bytes]:
    leaves = _leaves(names, seed)
    hashes = [first for first, _ in leaves]
    leaf_blocks = [_list_block(members, state) for _, members in leaves]
    if len(leaves) <= _ROOT_LIMIT:
        index = [(first, 1 + at) for at, first in enumerate(hashes)]
        return [_root(index, 0, own, parent, state), *leaf_blocks]
    spans = range(0, len(leaves), _NODE_LIMIT)
    if len(spans) > _ROOT_LIMIT:
        raise StorageFull(f"a directory of {len(names)} names is more than a file system holds")
    first_leaf = 1 + len(spans)
    nodes = [
        _node(
            [(hashes[at], first_leaf + at) for at in range(start, min(start + _NODE_LIMIT, len(leaves)))],
            state,
        )
        for start in spans
    ]
    index = [(hashes[start], 1 + at) for at, start in enumerate(spans)]
    return [_root(index, 1, own, parent, state), *nodes, *leaf_blocks]


def _leaves(names: Names, seed: Seed) -> list[tuple[int, list[tuple[bytes, int, int]]]]:
    """Names in the order of their hashes, cut into blocks, each with its first hash.

    The lowest bit of a leaf's hash says that names of the same hash stand in the leaf before it, too.
    """
    hashed = sorted(zip(half_md4([name for name, _, _ in names], seed), names, strict=True))
    leaves: list[tuple[int, list[tuple[bytes, int, int]]]] = []
    room, previous = 0, -1
    for value, entry in hashed:
        size = len(entry[0]) + 11 & ~3
        if size > room:
            leaves.append((value | (value == previous), []))
            room = _LIST_BYTES
        leaves[-1][1].append(entry)
        room -= size
        previous = value
    return leaves


def _root(index: Sequence[tuple[int, int]], levels: int, own: int, parent: int, state: int) -> bytes:
    block = bytearray(BLOCK_BYTES)
    _ENTRY.pack_into(block, 0, own, 12, 1, _DIRECTORY_TYPE)
    block[8:9] = b"."
    _ENTRY.pack_into(block, 12, parent, BLOCK_BYTES - 12, 2, _DIRECTORY_TYPE)
    block[20:22] = b".."
    struct.pack_into("<IBBBB", block, _DOTS_BYTES, 0, HALF_MD4, 8, levels, 0)
    return _index(block, _ROOT_AT, _ROOT_LIMIT, index, state)


def _node(index: Sequence[tuple[int, int]], state: int) -> bytes:
    block = bytearray(BLOCK_BYTES)
    _ENTRY.pack_into(block, 0, 0, BLOCK_BYTES, 0, 0)
    return _index(block, _NODE_AT, _NODE_LIMIT, index, state)


def _index(block: bytearray, at: int, limit: int, index: Sequence[tuple[int, int]], state: int) -> bytes:
    """Fill in the entries: limit and count stand in place of the first one's hash, which nobody needs."""
    for place, (value, target) in enumerate(index):
        struct.pack_into("<II", block, at + 8 * place, value, target)
    struct.pack_into("<HH", block, at, limit, len(index))
    state = extend(extend(state, bytes(block[: at + 8 * len(index)])), bytes(8))
    struct.pack_into("<I", block, at + 8 * limit + 4, stored(state))
    return bytes(block)
