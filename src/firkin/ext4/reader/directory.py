"""Directory blocks as they are read: names and inode numbers. Documentation/filesystems/ext4/directory.rst.

A directory is read block by block; to that a hash tree's index blocks are blocks without names.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from firkin.ext4.checksum import extend, stored
from firkin.ext4.layout import BLOCK_BYTES
from firkin.ext4.reader.inode import Inode

INDEXED = 0x1000

_ENTRY = struct.Struct("<IHBB")
_LIST_BYTES = BLOCK_BYTES - 12
_TAIL_START = b"\0\0\0\0\x0c\0\0\xde"
_FAKE_ENTRY = b"\0\0\0\0" + struct.pack("<H", BLOCK_BYTES)
_DOTS_BYTES = 24
_ROOT_AT, _NODE_AT = 32, 8
_MOST_NAMES = 1 << 20


class Entry(NamedTuple):
    number: int
    """The inode's."""
    file_type: int
    """1 for regular, 2 directory, 3 character, 4 block, 5 fifo, 6 socket, 7 link."""


Names = dict[bytes, Entry]


def add_names(names: Names, block: bytes, place: int, directory: Inode) -> None:
    """Put what block `place` of `directory` says into `names`, without `.` and `..`. Raises Corrupt."""
    end = _verified_end(block, place, directory)
    at = 0
    if place == 0:
        at = _after_dots(block, directory)
    while at < end:
        number, size, length, file_type = _ENTRY.unpack_from(block, at)
        if size < 12 or size & 3 or at + size > end or (number and length + 8 > size):
            raise directory.damaged(f"has an impossible entry in its block {place}, at {at}")
        if number:
            name = block[at + 8 : at + 8 + length]
            if not name or name in names or name in (b".", b"..") or b"/" in name or b"\0" in name:
                raise directory.damaged(f"has an impossible name, or one twice: {name!r}")
            names[name] = Entry(number, file_type)
        at += size
    if len(names) > _MOST_NAMES:
        raise directory.damaged(f"has more than {_MOST_NAMES} names, which is more than firkin reads")


def _verified_end(block: bytes, place: int, directory: Inode) -> int:
    """Where the names of `block` end, once its checksum was found right."""
    if directory.flags & INDEXED and (place == 0 or block.startswith(_FAKE_ENTRY)):
        if _index_checksum(block, _NODE_AT if place else _ROOT_AT, directory):
            return 0 if place else _DOTS_BYTES
    elif block[_LIST_BYTES:-4] == _TAIL_START:
        checksum = stored(extend(directory.state, block[:_LIST_BYTES]))
        if checksum == int.from_bytes(block[-4:], "little"):
            return _LIST_BYTES
    raise directory.damaged(f"has a block, {place}, that does not match its checksum")


def _index_checksum(block: bytes, at: int, directory: Inode) -> bool:
    """Whether an index block, whose entries stand from `at` on, matches its checksum (struct dx_tail)."""
    limit, count = struct.unpack_from("<HH", block, at)
    tail = at + 8 * limit
    if count > limit or tail + 8 > BLOCK_BYTES:
        return False
    state = extend(extend(directory.state, block[: at + 8 * count]), block[tail : tail + 4] + bytes(4))
    return stored(state) == int.from_bytes(block[tail + 4 : tail + 8], "little")


def _after_dots(block: bytes, directory: Inode) -> int:
    """Where the first name behind `.` and `..` may stand; in an index, none does."""
    own, size, length, _ = _ENTRY.unpack_from(block)
    _, parent_size, parent_length, _ = _ENTRY.unpack_from(block, 12)
    is_sound = (own, size, length, block[8:9]) == (directory.number, 12, 1, b".")
    if not is_sound or (parent_length, block[20:22]) != (2, b"..") or parent_size < 12 or parent_size & 3:
        raise directory.damaged("does not begin with itself and its parent")
    return 12 + int(parent_size)
