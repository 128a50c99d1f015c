"""A program for arm64, assembled by hand: it says what machine uname(2) shows, or waits where it has a word.

No compiler for another architecture is needed, and the 30 instructions are all there is to trust.
"""

from __future__ import annotations

import io
import struct
import tarfile

_BASE = 0x400000
_HEADERS_BYTES = 64 + 56
_WRITE, _PPOLL, _EXIT, _UNAME = 64, 73, 93, 160  # asm-generic/unistd.h
_SVC = 0xD4000001
_MACHINE_AT = 4 * 65  # in struct utsname


def _mov(register: int, value: int) -> int:
    return 0xD2800000 | value << 5 | register


def _add_sp(register: int, value: int) -> int:
    return 0x91000000 | value << 10 | 31 << 5 | register


_SAY = (
    *(0xD1000000 | 400 << 10 | 31 << 5 | 31, _add_sp(0, 0), _mov(8, _UNAME), _SVC),  # sub sp, sp, #400
    *(_mov(0, 1), _add_sp(1, _MACHINE_AT), _mov(2, len("aarch64")), _mov(8, _WRITE), _SVC),
    *(_mov(0, 1), 0x10000001 | 6 << 5, _mov(2, 1), _SVC),  # adr x1, the newline: 6 words further
    *(_mov(0, 0), _mov(8, _EXIT), _SVC),
)
_WAIT = (*map(_mov, range(5), [0] * 5), _mov(8, _PPOLL), _SVC, 0x17FFFFF9)  # b, 7 words back
_CODE = (
    *(0xF94003E9, 0xF100053F, 0x5400000C | (len(_SAY) + 2) << 5),  # ldr x9, [sp]; cmp x9, #1; b.gt wait
    *(*_SAY, ord("\n")),
    *_WAIT,
)


def program() -> bytes:
    """A static ELF file of one segment."""
    code = struct.pack(f"<{len(_CODE)}I", *_CODE)
    size = _HEADERS_BYTES + len(code)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    entry = _BASE + _HEADERS_BYTES
    header = struct.pack("<16sHHIQQQIHHHHHH", ident, 2, 183, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code


def root_tar() -> bytes:
    """A root file system with that program alone, as /uname."""
    raw, data = io.BytesIO(), program()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        entry = tarfile.TarInfo("uname")
        entry.mode, entry.size = 0o755, len(data)
        tar.addfile(entry, io.BytesIO(data))
    return raw.getvalue()
