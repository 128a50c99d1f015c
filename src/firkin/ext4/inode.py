"""Inodes: a node and where its content lies to 256 bytes. Documentation/filesystems/ext4/inodes.rst."""

from __future__ import annotations

import struct

from firkin.ext4.checksum import extend, stored
from firkin.ext4.layout import INODE_BYTES
from firkin.ext4.node import Node

EXTENTS_FLAG = 0x80000
INDEX_FLAG = 0x1000

_INODE = struct.Struct("<HHIIIIIHHIII60sIIIIHHHHHHHHIIIIIII96s")
_EXTRA_BYTES = 32
_CHECKSUM_LOW_AT, _CHECKSUM_HIGH_AT = 0x7C, 0x82
_EARLIEST_S, _LATEST_S = -(1 << 31), (3 << 32) + (1 << 31) - 1
_LINKS_LIMIT = 65000
_SECTORS_PER_BLOCK = 8

assert _INODE.size == INODE_BYTES


def encode(
    node: Node,
    state: int,
    *,
    size: int,
    blocks: int,
    flags: int,
    content: bytes,
    attributes: bytes,
    attribute_block: int,
) -> bytes:
    """The inode of `node`. `content` is its i_block, `blocks` counts all blocks that it owns, `attributes` is
    its tail and `attribute_block` the number of its attribute block, or 0. `state` is its checksum state.
    """
    mtime, mtime_extra = _time(node.mtime_ns)
    atime, atime_extra = (mtime, mtime_extra) if node.atime_ns == node.mtime_ns else _time(node.atime_ns)
    ctime, ctime_extra = (mtime, mtime_extra) if node.ctime_ns == node.mtime_ns else _time(node.ctime_ns)
    sectors = blocks * _SECTORS_PER_BLOCK
    raw = bytearray(
        _INODE.pack(
            node.mode,
            node.uid & 0xFFFF,
            size & 0xFFFFFFFF,
            atime,
            ctime,
            mtime,
            0,
            node.gid & 0xFFFF,
            node.links if node.links < _LINKS_LIMIT else 1,
            sectors & 0xFFFFFFFF,
            flags,
            0,
            content,
            0,
            attribute_block & 0xFFFFFFFF,
            size >> 32,
            0,
            sectors >> 32,
            attribute_block >> 32,
            node.uid >> 16,
            node.gid >> 16,
            0,
            0,
            _EXTRA_BYTES,
            0,
            ctime_extra,
            mtime_extra,
            atime_extra,
            mtime,
            mtime_extra,
            0,
            0,
            attributes,
        )
    )
    checksum = stored(extend(state, bytes(raw)))
    struct.pack_into("<H", raw, _CHECKSUM_LOW_AT, checksum & 0xFFFF)
    struct.pack_into("<H", raw, _CHECKSUM_HIGH_AT, checksum >> 16)
    return bytes(raw)


def device(major: int, minor: int) -> bytes:
    """i_block of a device: the kernel's old encoding in the first word, or its new one in the second."""
    if major < 256 and minor < 256:
        return struct.pack("<I56x", major << 8 | minor)
    return struct.pack("<4xI52x", minor & 0xFF | major << 8 | (minor & ~0xFF) << 12)


def _time(time_ns: int) -> tuple[int, int]:
    """Low 32 bits of the seconds, and the word with their two high bits and the nanoseconds.

    Times that ext4 cannot hold become the nearest that it can.
    """
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    seconds = min(max(seconds, _EARLIEST_S), _LATEST_S)
    return seconds & 0xFFFFFFFF, nanoseconds << 2 | (seconds + (1 << 31) >> 32)
