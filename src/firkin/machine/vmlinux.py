"""From a distribution's bzImage to the ELF file within, which QEMU starts directly through its PVH entry.

That skips the real-mode setup and the self-extraction, 150 to 300 ms under TCG (docs/design/boot.md). The
rule: what is not a bzImage with a PVH kernel inside is given to QEMU as it is, by the slower way.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import msgspec

from firkin.errors import Corrupt
from firkin.machine.decompress import decompress

MAX_IMAGE_BYTES = 512 << 20
HEADER_BYTES = 64 << 10
"""How much of an image `BzImage.parse` needs to see: the setup code has at most 64 sectors."""

_ELF_HEADER_BYTES = 64
_PT_NOTE = 4
_XEN_ELFNOTE_PHYS32_ENTRY = 18
_BANNER = re.compile(rb"Linux version (\S{1,128}) ")


class BzImage(msgspec.Struct, frozen=True):
    """The header of a Linux/x86 boot image (Documentation/arch/x86/boot.rst): its version and its payload's
    place.
    """

    version: str
    payload_offset: int
    payload_bytes: int

    @classmethod
    def parse(cls, head: bytes) -> BzImage | None:
        """The header of an image; None for anything but a bzImage of boot protocol 2.08 or later."""
        if len(head) < 0x250 or head[0x1FE:0x200] != b"\x55\xaa" or head[0x202:0x206] != b"HdrS":
            return None
        protocol, version_at = struct.unpack_from("<H6xH", head, 0x206)
        if protocol < 0x208:
            return None
        sectors = head[0x1F1] or 4
        offset, size = struct.unpack_from("<II", head, 0x248)
        version = head[0x200 + version_at :][:256].split(b"\0")[0].split(b" ")[0] if version_at else b""
        return cls(version.decode("ascii", "replace"), (sectors + 1) * 512 + offset, size)


def extract(image: bytes) -> bytes | None:
    """The ELF kernel within a bzImage, if it has a PVH entry; None where there is none to extract.

    Raises Corrupt when the payload cannot be uncompressed to at most 512 MiB.
    """
    header = BzImage.parse(image)
    if header is None:
        return None
    payload = image[header.payload_offset : header.payload_offset + header.payload_bytes]
    if len(payload) != header.payload_bytes:
        raise Corrupt(f"kernel {header.version} is truncated")
    elf = decompress(payload, limit_bytes=MAX_IMAGE_BYTES, what=f"kernel {header.version}")
    return elf if has_pvh_entry(elf) else None


def version_of(image: bytes) -> str:
    """The version (uname -r) of a bzImage or an ELF kernel; empty when it does not say."""
    header = BzImage.parse(image)
    if header is not None:
        return header.version
    banner = _BANNER.search(image)
    return banner[1].decode("ascii", "replace") if banner else ""


def has_pvh_entry(elf: bytes) -> bool:
    """Whether an ELF kernel carries the note that names its 32-bit PVH entry point."""
    if len(elf) < _ELF_HEADER_BYTES or elf[:6] != b"\x7fELF\x02\x01":
        return False
    return any(
        name == b"Xen\0" and kind == _XEN_ELFNOTE_PHYS32_ENTRY
        for begin, end in _note_segments(elf)
        for name, kind in _notes(elf[begin:end])
    )


def _note_segments(elf: bytes) -> Iterator[tuple[int, int]]:
    (table,) = struct.unpack_from("<Q", elf, 0x20)
    entry_bytes, count = struct.unpack_from("<HH", elf, 0x36)
    for index in range(count):
        at = table + index * entry_bytes
        if at + 56 > len(elf):
            return
        kind, _, offset, _, _, file_bytes = struct.unpack_from("<IIQQQQ", elf, at)
        if kind == _PT_NOTE:
            yield offset, min(offset + file_bytes, offset + (1 << 20))


def _notes(segment: bytes) -> Iterator[tuple[bytes, int]]:
    at = 0
    while at + 12 <= len(segment):
        name_bytes, desc_bytes, kind = struct.unpack_from("<III", segment, at)
        at += 12
        yield segment[at : at + name_bytes], kind
        at += -(-name_bytes // 4) * 4 + -(-desc_bytes // 4) * 4
