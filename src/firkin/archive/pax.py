"""Pax extended headers: records of `length keyword=value` that overrule the fields of the header after them.

POSIX.1-2017 pax, "pax Extended Header"; SCHILY.xattr.* as star and GNU tar write them, LIBARCHIVE.xattr.* as
bsdtar does. An empty value takes a keyword back.
"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

from firkin.errors import Corrupt

PAX_LIMIT_BYTES = 1 << 20
"""Most that one extended header may hold; GNU tar and Go stop at the same order of size."""

Records = list[tuple[bytes, bytes]]

_TIME = re.compile(rb"(-?)(\d{1,18})(?:\.(\d*))?")
_SCHILY = b"SCHILY.xattr."
_LIBARCHIVE = b"LIBARCHIVE.xattr."


def decode(content: bytes) -> Records:
    """The records of an extended header, in order: GNU's sparse maps repeat keywords. Raises Corrupt."""
    records = []
    start = 0
    while start < len(content):
        space = content.find(b" ", start, start + 8)
        digits = content[start:space]
        if space < 0 or not digits.isdigit():
            raise _malformed(content[start : start + 32])
        end = start + int(digits)
        keyword, equals, value = content[space + 1 : end - 1].partition(b"=")
        if end > len(content) or not keyword or not equals or content[end - 1 : end] != b"\n":
            raise _malformed(content[start : start + 32])
        records.append((keyword, value))
        start = end
    return records


def _malformed(start: bytes) -> Corrupt:
    return Corrupt(f"tar has a malformed pax record: {start!r}...")


def time_ns(value: bytes) -> int:
    """Nanoseconds of a decimal time, further digits cut off. Raises Corrupt."""
    match = _TIME.fullmatch(value)
    if match is None:
        raise Corrupt(f"tar has {value[:40]!r} where a pax time belongs")
    sign, seconds, fraction = match.groups()
    nanoseconds = int(seconds) * 1_000_000_000 + int((fraction or b"")[:9].ljust(9, b"0"))
    return -nanoseconds if sign else nanoseconds


def number(value: bytes) -> int:
    """A decimal number of at most 19 digits. Raises Corrupt."""
    digits = value[1:] if value[:1] == b"-" else value
    if not digits.isdigit() or len(digits) > 19:
        raise Corrupt(f"tar has {value[:40]!r} where a pax number belongs")
    return int(value)


def xattr(keyword: bytes, value: bytes) -> tuple[bytes, bytes] | None:
    """Name and value of the extended attribute that a record gives; None when it is no such record."""
    if keyword.startswith(_SCHILY):
        return keyword[len(_SCHILY) :], value
    if keyword.startswith(_LIBARCHIVE):
        try:
            return unquote_to_bytes(keyword[len(_LIBARCHIVE) :]), base64.b64decode(
                value + b"=" * (-len(value) % 4)
            )
        except binascii.Error as error:
            raise Corrupt(f"tar has {keyword[:80]!r} whose value is not base64") from error
    return None
