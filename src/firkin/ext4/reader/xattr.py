"""Extended attributes as they are read. Documentation/filesystems/ext4/attributes.rst."""

from __future__ import annotations

import struct

from firkin.ext4.checksum import extend, stored
from firkin.ext4.reader.inode import Inode

_MAGIC = b"\0\0\x02\xea"
_HEADER_BYTES = 32
_ENTRY = struct.Struct("<BBHIII")
_PREFIXES = {1: b"user.", 4: b"trusted.", 6: b"security.", 7: b"system."}
_ACLS = {2: b"system.posix_acl_access", 3: b"system.posix_acl_default"}
_ACL_WITH_ID = (b"\x02\0", b"\x08\0")
_NO_ID = b"\xff\xff\xff\xff"

Attributes = dict[bytes, bytes]


def add_tail(found: Attributes, inode: Inode) -> None:
    """Put the attributes in the inode itself into `found`, by full name. Raises Corrupt."""
    if inode.tail[:4] == _MAGIC:
        _add(found, inode.tail[4:], 0, inode)


def add_block(found: Attributes, block: bytes, seed: int, inode: Inode) -> None:
    """Put those of its attribute `block` into `found`. Raises Corrupt."""
    number = inode.attribute_block
    content = struct.pack("<Q", number) + block[:16] + bytes(4) + block[20:]
    if block[:4] != _MAGIC or int.from_bytes(block[16:20], "little") != stored(extend(seed, content)):
        raise inode.damaged(f"has an attribute block, {number}, that does not match its checksum")
    _add(found, block, _HEADER_BYTES, inode)


def _add(found: Attributes, area: bytes, at: int, inode: Inode) -> None:
    """Entries stand from `at` on, until four zeros; values where they say, counted from `area`'s start."""
    while area[at : at + 4] != bytes(4):
        if at + _ENTRY.size > len(area):
            raise inode.damaged("has attributes without an end")
        length, index, offset, elsewhere, size, _ = _ENTRY.unpack_from(area, at)
        name = area[at + _ENTRY.size : at + _ENTRY.size + length]
        at += _ENTRY.size + length + 3 & ~3
        if elsewhere or len(name) < length or (size and (offset < at or offset + size > len(area))):
            raise inode.damaged("has an impossible attribute")
        full = _full_name(index, name)
        if not full or full in found:
            raise inode.damaged(f"has an impossible attribute, or one twice: {index} {name!r}")
        value = area[offset : offset + size] if size else b""
        found[full] = _acl(value, inode) if index in _ACLS else value


def _full_name(index: int, name: bytes) -> bytes:
    """The name as getxattr(2) has it; empty for one that cannot be."""
    if index in _ACLS:
        return b"" if name else _ACLS[index]
    return _PREFIXES[index] + name if index in _PREFIXES and name and b"\0" not in name else b""


def _acl(value: bytes, inode: Inode) -> bytes:
    """A POSIX ACL from ext4's form to that of getxattr(2), where all entries have an id."""
    out, at = b"\2\0\0\0", 4
    if value[:4] != b"\1\0\0\0":
        raise inode.damaged("has an ACL of an unknown form")
    while at < len(value):
        with_id = value[at : at + 2] in _ACL_WITH_ID
        size = 8 if with_id else 4
        if at + size > len(value):
            raise inode.damaged("has an ACL that is cut short")
        out += value[at : at + size] + (b"" if with_id else _NO_ID)
        at += size
    return out
