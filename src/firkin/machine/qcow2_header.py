"""The header of a qcow2 file that a VMM wrote: what is needed to read it, and a refusal of all else.

Its backing file's name and its extensions are never looked at: who stands on whom is what our records say.
docs/interop/qcow2.txt in QEMU's tree.
"""

from __future__ import annotations

import struct

import msgspec

from firkin.errors import Corrupt

HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
"""Magic, version; the backing name's offset and length; bits of a cluster, size; encryption; entries and
offset of the L1 table; offset and clusters of the refcount table; snapshots and their offset; incompatible,
compatible, autoclear features; bits of a refcount, bytes of the header.
"""
MAGIC = b"QFI\xfb"

HEADER_BYTES = 112
"""With the compression type, which a header of 104 bytes lacks."""

_LARGEST_BYTES = 1 << 50
_MOST_L1_ENTRIES = 1 << 21
"""16 MiB: 1 PiB in clusters of 64 KiB."""

_DIRTY, _DAMAGED, _EXTERNAL, _COMPRESSION, _EXTENDED = 1, 2, 4, 8, 16
_REFUSED = {
    _DAMAGED: "is marked as corrupt by QEMU",
    _EXTERNAL: "keeps its data in another file",
    _EXTENDED: "has extended L2 entries",
}


class Header(msgspec.Struct, frozen=True):
    cluster_bits: int
    size_bytes: int
    l1_at: int
    l1_entries: int
    """Those that `size_bytes` needs; the table may have more."""
    zstd: bool
    """Whether compressed clusters are zstd's, else raw deflate."""

    @classmethod
    def parse(cls, raw: bytes, file_bytes: int) -> Header:
        """The header in the first HEADER_BYTES of a file of `file_bytes`. Raises Corrupt."""
        fields = HEADER.unpack_from(raw)
        magic, version, _, _, cluster_bits, size_bytes, encryption, l1_entries, l1_at, *_ = fields
        features, header_bytes = fields[13], fields[17]
        if magic != MAGIC or version != 3:
            raise Corrupt("is not a qcow2 file of version 3")
        if not 9 <= cluster_bits <= 21:
            raise Corrupt(f"has clusters of 2^{cluster_bits} bytes")
        if encryption:
            raise Corrupt("is encrypted")
        zstd = _compression(features, header_bytes, raw)
        needed = -(-size_bytes >> 2 * cluster_bits - 3)
        if size_bytes > _LARGEST_BYTES or needed > _MOST_L1_ENTRIES:
            raise Corrupt(f"claims {size_bytes} bytes in clusters of {1 << cluster_bits}")
        if l1_entries < needed or l1_at % (1 << cluster_bits) or l1_at + 8 * needed > file_bytes:
            raise Corrupt(f"has an L1 table of {l1_entries} entries at {l1_at}, where it cannot be")
        return cls(cluster_bits, size_bytes, l1_at, needed, zstd)


def _compression(features: int, header_bytes: int, raw: bytes) -> bool:
    """Whether the compression type is zstd; refuses features that change what the rest means."""
    for bit, words in _REFUSED.items():
        if features & bit:
            raise Corrupt(words)
    if unknown := features & ~(_DIRTY | _COMPRESSION):
        raise Corrupt(f"has features that firkin does not know: {unknown:#x}")
    kind = raw[HEADER.size] if header_bytes > HEADER.size else 0
    if kind > 1 or bool(kind) != bool(features & _COMPRESSION):
        raise Corrupt(f"has an impossible compression type: {kind}")
    return kind == 1
