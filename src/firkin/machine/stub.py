"""The stub: QEMU's microvm wants a kernel, even where it is about to receive a whole machine.

A kernel of 46 MB would be read and mapped for nothing, so this stands for it: an ELF file (ELF-64, System V
ABI) with one segment of a halting instruction, and the note that names its PVH entry (Xen's
public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY). It never runs.
"""

from __future__ import annotations

import struct
from pathlib import Path

from firkin.machine.artifacts import artifact

_HEADER, _SEGMENT = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ")
_EXECUTABLE, _X86_64, _LOAD, _NOTE = 2, 62, 1, 4
_PHYS32_ENTRY = 18
_ENTRY = 1 << 20
_NOTE_AT, _CODE_AT, _SIZE = 0x100, 0x200, 0x1000
_HALT = b"\xfa\xf4"


def stub_path(cache_dir: Path) -> Path:
    """The stub as a file in the cache, written there when it is new. Raises OSError."""
    return artifact(cache_dir, "stub", ("1",), build)


def build() -> bytes:
    """The file's bytes."""
    note = struct.pack("<III4sQ", 4, 8, _PHYS32_ENTRY, b"Xen\0", _ENTRY)
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = _HEADER.pack(
        ident, _EXECUTABLE, _X86_64, 1, _ENTRY, _HEADER.size, 0, 0, _HEADER.size, _SEGMENT.size, 2, 0, 0, 0
    )
    code = _SEGMENT.pack(_LOAD, 5, _CODE_AT, _ENTRY, _ENTRY, len(_HALT), len(_HALT), _SIZE)
    notes = _SEGMENT.pack(_NOTE, 4, _NOTE_AT, 0, 0, len(note), len(note), 4)
    file = bytearray(_SIZE)
    for offset, part in ((0, header + code + notes), (_NOTE_AT, note), (_CODE_AT, _HALT)):
        file[offset : offset + len(part)] = part
    return bytes(file)
