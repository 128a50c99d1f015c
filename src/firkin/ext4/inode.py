"""Inodes: a node and where its content lies to 256 bytes. Documentation/filesystems/ext4/inodes.rst."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from firkin.ext4.checksum import extend, stored
from firkin.ext4.node import Node

EXTENTS_FLAG = 0x80000
INDEX_FLAG = 0x1000

# Up to the checksum's low half; between its halves; behind its high half. Each half has 16 bits.
HEAD = struct.Struct("<HHIIIIIHHIII60sIIIIHHHH")
_MIDDLE = struct.Struct("<HH")
_TAIL = struct.Struct("<IIIIIII96s")
_NUMBER = struct.Struct("<II")
_EXTRA_BYTES = 32
_EARLIEST_S, _LATEST_S = -(1 << 31), (3 << 32) + (1 << 31) - 1
_DOUBTFUL_S = range((3 << 32) - (1 << 31), 3 << 32)
"""From 2310 to 2378. e2fsck takes these for times before 1970 that an old kernel encoded wrongly."""
_LINKS_LIMIT = 65000
_SECTORS_PER_BLOCK = 8


@dataclass(slots=True)
class Content:
    """What an inode says about its content: `root` is i_block, `blocks` counts all that it owns."""

    flags: int
    size: int
    root: bytes
    blocks: int


def encode(node: Node, content: Content, attributes: bytes, attribute_block: int, seed: int) -> bytes:
    """The inode of `node`. `attributes` is its tail, `attribute_block` the number of its attribute block or
    0; `seed` is the file system's checksum state.
    """
    mtime, mtime_extra = time(node.mtime_ns)
    atime, atime_extra = time(node.atime_ns)
    ctime, ctime_extra = time(node.ctime_ns)
    sectors = (content.blocks + bool(attribute_block)) * _SECTORS_PER_BLOCK
    size, uid, gid, links = content.size, node.uid, node.gid, node.links
    head = HEAD.pack(
        node.mode,
        uid & 0xFFFF,
        size & 0xFFFFFFFF,
        atime,
        ctime,
        mtime,
        0,
        gid & 0xFFFF,
        links if links < _LINKS_LIMIT else 1,
        sectors & 0xFFFFFFFF,
        content.flags,
        0,
        content.root,
        0,
        attribute_block & 0xFFFFFFFF,
        size >> 32,
        0,
        sectors >> 32,
        attribute_block >> 32,
        uid >> 16,
        gid >> 16,
    )
    tail = _TAIL.pack(ctime_extra, mtime_extra, atime_extra, mtime, mtime_extra, 0, 0, attributes)
    checked = _NUMBER.pack(node.number, 0) + head + b"\0\0\0\0" + _MIDDLE.pack(_EXTRA_BYTES, 0) + tail
    checksum = stored(extend(seed, checked))
    low = _MIDDLE.pack(checksum & 0xFFFF, 0)
    return head + low + _MIDDLE.pack(_EXTRA_BYTES, checksum >> 16) + tail


def device(major: int, minor: int) -> bytes:
    """i_block of a device: the kernel's old encoding in the first word, or its new one in the second."""
    if major < 256 and minor < 256:
        return struct.pack("<I56x", major << 8 | minor)
    return struct.pack("<4xI52x", minor & 0xFF | major << 8 | (minor & ~0xFF) << 12)


@lru_cache(1024)
def time(time_ns: int) -> tuple[int, int]:
    """Low 32 bits of the seconds, and the word with their two high bits and the nanoseconds.

    Times that ext4 cannot hold, or not without doubt, become the nearest that it can. Remembered, since
    files come in batches.
    """
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    if not _EARLIEST_S <= seconds <= _LATEST_S:
        seconds, nanoseconds = min(max(seconds, _EARLIEST_S), _LATEST_S), 0
    elif seconds in _DOUBTFUL_S:
        seconds, nanoseconds = _DOUBTFUL_S.start - 1, 0
    return seconds & 0xFFFFFFFF, nanoseconds << 2 | (seconds + (1 << 31) >> 32)
