"""Headers of ustar, GNU and old tar: 512 bytes to fields (POSIX.1-2017 pax, "ustar Interchange Format").

The checksum is what tells a header from noise, so it is checked first. Its sum of bytes is taken from
zlib.adler32, whose low half is that sum modulo 65521 plus one: twenty times as fast as adding up in Python.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from firkin.errors import Corrupt

BLOCK_BYTES = 512
END = bytes(BLOCK_BYTES)

_FIELDS = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x").unpack
_ADLER_MODULUS = 65521
_BLANK_SUM = zlib.adler32(b" " * 8)
_HIGHEST_NUMBER = 1 << 63


class Header(NamedTuple):
    """The fields of one block. `name` has its ustar prefix in front; `kind` is the type flag's byte."""

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    kind: bytes
    link: bytes
    major: int
    minor: int


def decode(block: bytes) -> Header:
    """The header in `block`, 512 bytes. Raises Corrupt."""
    name, mode, uid, gid, size, mtime, checksum, kind, link, magic, _version, _, _, major, minor, prefix = (
        _FIELDS(block)
    )
    _check(block, checksum)
    name = name.partition(b"\0")[0]
    # GNU tar ("ustar  ") keeps times and sparse maps where POSIX ("ustar\0") keeps the prefix.
    if magic == b"ustar\0" and prefix[0]:
        name = prefix.partition(b"\0")[0] + b"/" + name
    device = kind == b"3" or kind == b"4"
    size_bytes = number(size)
    if size_bytes < 0:
        raise Corrupt(f"tar entry {name!r} has a negative size")
    return Header(
        name,
        number(mode) & 0o7777,
        number(uid),
        number(gid),
        size_bytes,
        number(mtime),
        kind,
        link.partition(b"\0")[0] if link[0] else b"",
        number(major) if device else 0,
        number(minor) if device else 0,
    )


def number(field: bytes) -> int:
    """A numeric field: octal digits with blanks or NULs around them, or GNU's base 256. Raises Corrupt."""
    text = field.strip(b" \0")
    if text.isdigit():
        try:
            return int(text, 8)
        except ValueError:
            raise Corrupt(f"tar header has {field!r} where an octal number belongs") from None
    if not text:
        return 0
    if field[0] in (0x80, 0xFF):
        return _base256(field)
    return _sloppy(field)


def _base256(field: bytes) -> int:
    negative = field[0] == 0xFF
    value = int.from_bytes(field if negative else field[1:], "big", signed=negative)
    if not -_HIGHEST_NUMBER <= value < _HIGHEST_NUMBER:
        raise Corrupt(f"tar header has {field!r} where a 64-bit number belongs")
    return value


def _sloppy(field: bytes) -> int:
    """Digits followed by a NUL and leftovers, as some writers that reuse their buffer leave them."""
    text = field.partition(b"\0")[0].strip(b" ")
    if text and not text.isdigit():
        raise Corrupt(f"tar header has {field!r} where an octal number belongs")
    return number(text)


def _check(block: bytes, checksum: bytes) -> None:
    expected = number(checksum)
    rest = zlib.adler32(block[156:], zlib.adler32(block[:148], _BLANK_SUM))
    if rest & 0xFFFF == (expected + 1) % _ADLER_MODULUS:
        return
    # Old tars added the bytes as signed numbers.
    signed = sum(byte - 256 if byte > 127 else byte for byte in block[:148] + b" " * 8 + block[156:])
    if signed != expected:
        raise Corrupt("tar header has a wrong checksum: this is not a tar archive, or it is damaged")
