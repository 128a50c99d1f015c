"""Extended attributes: names and values to the inode's own 92 bytes, or to one block.

Documentation/filesystems/ext4/attributes.rst. All attributes of an inode stand together, in the one or the
other.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from firkin.errors import Corrupt
from firkin.ext4.checksum import extend, stored
from firkin.ext4.layout import BLOCK_BYTES

INODE_ROOM_BYTES = 96
"""What a 256-byte inode leaves behind its 32 extra bytes, magic number included."""

_MAGIC = 0xEA020000
_BLOCK_HEADER_BYTES = 32
_ENTRY = struct.Struct("<BBHIII")
_ACCESS_ACL, _DEFAULT_ACL = b"system.posix_acl_access", b"system.posix_acl_default"
_NAMESPACES = ((b"user.", 1), (b"trusted.", 4), (b"security.", 6))
_STORABLE = (_ACCESS_ACL, _DEFAULT_ACL, *(prefix for prefix, _ in _NAMESPACES))
_ACL_WITH_ID = (0x02, 0x08)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute as it is stored: `index` stands for the name's beginning."""

    index: int
    name: bytes
    value: bytes

    @property
    def entry_bytes(self) -> int:
        return _ENTRY.size + len(self.name) + 3 & ~3

    @property
    def value_bytes(self) -> int:
        return len(self.value) + 3 & ~3


def storable(xattrs: Mapping[bytes, bytes]) -> dict[bytes, bytes] | None:
    """Those of `xattrs` that an inode can have; None for none.

    Namespaces that Linux does not have (macOS archives bring some) are left out: no kernel would take them.
    Raises Corrupt for what cannot be stored.
    """
    kept = {name: value for name, value in xattrs.items() if name.startswith(_STORABLE)}
    attributes(kept)
    return kept or None


def attributes(xattrs: Mapping[bytes, bytes]) -> list[Attribute]:
    """`xattrs` as ext4 stores them, in the order it wants. Raises Corrupt for what cannot be stored."""
    found = [_attribute(name, value) for name, value in xattrs.items()]
    needed = sum(a.entry_bytes + a.value_bytes for a in found)
    if needed > BLOCK_BYTES - _BLOCK_HEADER_BYTES - 4:
        raise Corrupt(f"extended attributes of {needed} bytes on one file; ext4 holds {BLOCK_BYTES - 36}")
    return sorted(found, key=lambda a: (a.index, len(a.name), a.name))


def in_inode(found: Sequence[Attribute]) -> bytes | None:
    """The attributes as the inode's tail; None when they do not fit there."""
    room = INODE_ROOM_BYTES - 4
    if sum(a.entry_bytes + a.value_bytes for a in found) + 4 > room:
        return None
    entries, values, _ = _encode(found, room)
    return struct.pack("<I", _MAGIC) + entries.ljust(room - len(values), b"\0") + values


def block(found: Sequence[Attribute], number: int, seed: int) -> bytes:
    """The attributes as block `number` of the disk."""
    entries, values, hashes = _encode(found, BLOCK_BYTES)
    header_hash = 0
    for entry_hash in hashes:
        header_hash = (header_hash << 16 ^ header_hash >> 16 ^ entry_hash) & 0xFFFFFFFF
    body = entries.ljust(BLOCK_BYTES - _BLOCK_HEADER_BYTES - len(values), b"\0") + values
    header = [_MAGIC, 1, 1, header_hash, 0]
    content = struct.pack("<5I12x", *header) + body
    header[-1] = stored(extend(seed, struct.pack("<Q", number) + content))
    return struct.pack("<5I12x", *header) + body


def _encode(found: Sequence[Attribute], end: int) -> tuple[bytes, bytes, list[int]]:
    """Entries, values (which grow down from `end`), and the entries' hashes."""
    entries, values, hashes = b"", b"", []
    for a in found:
        padded = a.value.ljust(a.value_bytes, b"\0")
        values = padded + values
        hashes.append(_hash(a.name, padded))
        offset = end - len(values) if padded else 0
        entry = _ENTRY.pack(len(a.name), a.index, offset, 0, len(a.value), hashes[-1]) + a.name
        entries += entry.ljust(a.entry_bytes, b"\0")
    return entries, values, hashes


def _hash(name: bytes, padded: bytes) -> int:
    """ext4_xattr_hash_entry()."""
    value = 0
    for byte in name:
        value = (value << 5 ^ value >> 27 ^ byte) & 0xFFFFFFFF
    for (word,) in struct.iter_unpack("<I", padded):
        value = (value << 16 ^ value >> 16 ^ word) & 0xFFFFFFFF
    return value


def _attribute(name: bytes, value: bytes) -> Attribute:
    if name == _ACCESS_ACL:
        return Attribute(2, b"", _stored_acl(value))
    if name == _DEFAULT_ACL:
        return Attribute(3, b"", _stored_acl(value))
    for prefix, index in _NAMESPACES:
        short = name.removeprefix(prefix)
        if short != name and 0 < len(short) <= 255 and b"\0" not in short:
            return Attribute(index, short, value)
    raise Corrupt(f"extended attribute {name[:80]!r} has an impossible name")


def _stored_acl(value: bytes) -> bytes:
    """A POSIX ACL from the form of getxattr(2), version 2, to ext4's, version 1, which saves unused ids."""
    if len(value) < 4 or (len(value) - 4) % 8 or value[:4] != b"\2\0\0\0":
        raise Corrupt("a POSIX ACL has a form that no kernel writes")
    stored_entries = [
        struct.pack("<HHI", tag, permissions, owner)
        if tag in _ACL_WITH_ID
        else struct.pack("<HH", tag, permissions)
        for tag, permissions, owner in struct.iter_unpack("<HHI", value[4:])
    ]
    return b"\1\0\0\0" + b"".join(stored_entries)
