"""Headers of ustar, GNU and old tar: 512 bytes to fields (POSIX.1-2017 pax, "ustar Interchange Format").

The checksum is what tells a header from noise, so it is checked first. Its sum of bytes is taken from
zlib.adler32, whose low half is that sum modulo 65521 plus one: twenty times as fast as adding up in Python.
"""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

from firkin.errors import Corrupt

BLOCK_BYTES = 512
END = bytes(BLOCK_BYTES)

_ADLER_MODULUS = 65521
_BLANK_SUM = zlib.adler32(b" " * 8)
_HIGHEST_NUMBER = 1 << 63


def type_flag(block: bytes) -> bytes:
    return block[156:157]


def name(block: bytes) -> bytes:
    """The entry's path, with the prefix that POSIX keeps apart.

    GNU tar ("ustar  ") has times and sparse maps in that place.
    """
    short = block[:100].partition(b"\0")[0]
    if block[345] and block[257:263] == b"ustar\0":
        return block[345:500].partition(b"\0")[0] + b"/" + short
    return short


def link(block: bytes) -> bytes:
    return block[157:257].partition(b"\0")[0] if block[157] else b""


def size(block: bytes) -> int:
    """Raises Corrupt."""
    value = number(block[124:136])
    if value < 0:
        raise Corrupt(f"tar entry {name(block)!r} has a negative size")
    return value


def mtime(block: bytes) -> int:
    """In seconds. Raises Corrupt."""
    return number(block[136:148])


def mode_and_owner(block: bytes) -> tuple[int, int, int]:
    """Permission bits, uid and gid. Raises Corrupt."""
    return _mode_and_owner(block[100:124])


@lru_cache(256)
def _mode_and_owner(fields: bytes) -> tuple[int, int, int]:
    """Remembered, since an archive has few of them and many entries."""
    return number(fields[:8]) & 0o7777, number(fields[8:16]), number(fields[16:24])


def device(block: bytes) -> tuple[int, int]:
    """Major and minor. Raises Corrupt."""
    return number(block[329:337]), number(block[337:345])


def number(field: bytes) -> int:
    """A numeric field: octal digits with blanks or NULs around them, or GNU's base 256. Raises Corrupt."""
    text = field.strip(b" \0")
    if text.isdigit():
        try:
            return int(text, 8)
        except ValueError:
            raise _not_octal(field) from None
    if not text:
        return 0
    if field[0] in (0x80, 0xFF):
        return _base256(field)
    return _sloppy(field)


def _base256(field: bytes) -> int:
    negative = field[0] == 0xFF
    value = int.from_bytes(field if negative else field[1:], "big", signed=negative)
    if not -_HIGHEST_NUMBER <= value < _HIGHEST_NUMBER:
        raise Corrupt(f"a tar header has {field!r} where a 64-bit number belongs")
    return value


def _sloppy(field: bytes) -> int:
    """Digits followed by a NUL and leftovers, as some writers that reuse their buffer leave them."""
    text = field.partition(b"\0")[0].strip(b" ")
    if text and not text.isdigit():
        raise _not_octal(field)
    return number(text)


def _not_octal(field: bytes) -> Corrupt:
    return Corrupt(f"a tar header has {field!r} where an octal number belongs")


def check(block: bytes) -> None:
    """Raises Corrupt unless `block` has the checksum that it claims."""
    expected = number(block[148:156])
    rest = zlib.adler32(block[156:], zlib.adler32(block[:148], _BLANK_SUM))
    if rest & 0xFFFF == (expected + 1) % _ADLER_MODULUS:
        return
    # Old tars added the bytes as signed numbers.
    if (
        expected
        != sum(struct.unpack("148b", block[:148])) + sum(struct.unpack("356b", block[156:])) + 8 * 0x20
    ):
        raise Corrupt("a tar header has a wrong checksum: this is not a tar archive, or it is damaged")
