"""Inodes as they are read: 256 bytes to a value. Documentation/filesystems/ext4/inodes.rst."""

from __future__ import annotations

import os
import stat
import struct

import msgspec

from firkin.errors import Corrupt
from firkin.ext4.checksum import extend, stored
from firkin.ext4.inode import HEAD
from firkin.ext4.layout import BLOCK_BYTES, INODE_BYTES
from firkin.ext4.reader.damage import damaged
from firkin.ext4.reader.geometry import Geometry

EXTENTS, INLINE_DATA = 0x80000, 0x10000000

_KINDS = frozenset(
    {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK}
)
_CHECKSUM_LOW_AT, _CHECKSUM_HIGH_AT = 124, 130
_EXTRA = struct.Struct("<HHIIIII")
_OLD_BYTES = 128
_FULL_EXTRA_BYTES = 32
_LARGEST_BYTES = BLOCK_BYTES << 32
_LONGEST_TARGET_BYTES = BLOCK_BYTES
_NUMBER = struct.Struct("<II")


class Inode(msgspec.Struct, frozen=True):
    """One file. `mode` includes the type; times are nanoseconds since the epoch; `rdev` is as os.makedev()
    has it, 0 for what is no device.
    """

    system: str
    """What its file system is called."""
    number: int
    mode: int
    uid: int
    gid: int
    size: int
    links: int
    rdev: int
    mtime_ns: int
    atime_ns: int
    ctime_ns: int
    flags: int
    root: bytes
    """i_block: where its content lies, or a short link's target."""
    has_blocks: bool
    """Whether it owns blocks besides its attribute block."""
    attribute_block: int
    tail: bytes
    """What stands behind its fixed fields: attributes, maybe."""
    state: int
    """The checksum state that all blocks it owns begin with."""

    @property
    def kind(self) -> int:
        """S_IFREG, S_IFDIR, ..."""
        return self.mode & 0o170000

    def damaged(self, words: str) -> Corrupt:
        """The error that says what is wrong with it."""
        return damaged(f"inode {self.number}", self.system, words)


def _verified(raw: bytes, number: int, geometry: Geometry) -> int:
    """The checksum state of inode `number`, whose 256 bytes match their checksum. Raises Corrupt."""
    state = int(extend(geometry.seed, _NUMBER.pack(number, int.from_bytes(raw[100:104], "little"))))
    content = raw[:_CHECKSUM_LOW_AT] + b"\0\0" + raw[126:_CHECKSUM_HIGH_AT] + b"\0\0" + raw[132:]
    low, high = raw[_CHECKSUM_LOW_AT:126], raw[_CHECKSUM_HIGH_AT:132]
    if stored(extend(state, content)) != int.from_bytes(low + high, "little"):
        raise damaged(f"inode {number}", geometry.name, "does not match its checksum")
    return state


def decode(raw: bytes, number: int, geometry: Geometry) -> Inode:
    """Inode `number` from its 256 bytes. Raises Corrupt, also for one that is not in use."""
    state = _verified(raw, number, geometry)
    (
        mode, uid, size, atime, ctime, mtime, _, gid, links, sectors, flags, _, root,
        _, attribute_block, size_high, _, sectors_high, attribute_block_high, uid_high, gid_high,
    ) = HEAD.unpack_from(raw)  # fmt: skip
    extra_bytes, _, ctime_extra, mtime_extra, atime_extra, _, _ = _EXTRA.unpack_from(raw, _OLD_BYTES)
    size |= size_high << 32
    attribute_block |= attribute_block_high << 32
    kind = mode & 0o170000
    own_sectors = (sectors | sectors_high << 32) - (BLOCK_BYTES // 512 if attribute_block else 0)
    inode = Inode(
        geometry.name, number, mode, uid | uid_high << 16, gid | gid_high << 16, size, links,
        _rdev(root) if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0,
        _time(mtime, mtime_extra), _time(atime, atime_extra), _time(ctime, ctime_extra),
        flags, root, own_sectors > 0, attribute_block, raw[_OLD_BYTES + extra_bytes :], state,
    )  # fmt: skip
    _check(inode, extra_bytes)
    return inode


def _check(inode: Inode, extra_bytes: int) -> None:
    kind, size = inode.kind, inode.size
    if not inode.links:
        raise inode.damaged("is named, but not in use")
    if kind not in _KINDS:
        raise inode.damaged(f"is of an unknown type: {kind:#o}")
    if not _FULL_EXTRA_BYTES <= extra_bytes <= INODE_BYTES - _OLD_BYTES or extra_bytes % 4:
        raise inode.damaged(f"claims {extra_bytes} bytes of further fields")
    if inode.flags & INLINE_DATA:
        raise inode.damaged("keeps its content inside of itself")
    most = _LONGEST_TARGET_BYTES if kind == stat.S_IFLNK else _LARGEST_BYTES
    if size > most or (kind == stat.S_IFDIR and (not size or size % BLOCK_BYTES)):
        raise inode.damaged(f"claims a size of {size} bytes")


def _rdev(root: bytes) -> int:
    """A device's numbers, from the kernel's old encoding or its new one (include/linux/kdev_t.h)."""
    old, new = struct.unpack_from("<II", root)
    if old:
        return os.makedev(old >> 8 & 0xFF, old & 0xFF)
    return os.makedev(new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xFFF00)


def _time(low: int, extra: int) -> int:
    """Signed seconds of 32 bits, two more of them in `extra`, and nanoseconds above those."""
    seconds = (low ^ 0x80000000) - 0x80000000 + ((extra & 3) << 32)
    return seconds * 1_000_000_000 + (extra >> 2)
