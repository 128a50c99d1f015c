"""MemoryPart: a range of a guest's memory as bytes that travel: each page that is not zero, once.

    16 bytes   "firkin memory 1\\n"
    u32        how many pages the range has
    u32        how many contents follow
    u32 each   for each page the number of its content, from 1 on; 0 is a page of zeros
    4096 each  the contents

All numbers are little-endian. Contents are numbered in the order in which pages first show them, so a range
has one form only, and a table that names a content before its time, or one that does not follow, is refused.
docs/design/snapshots.md has the whole of the format.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from array import array
from collections.abc import Iterator

from firkin.errors import Corrupt

PAGE_BYTES = 4096
_MAGIC = b"firkin memory 1\n"
_HEADER = struct.Struct("<16sII")
_ZEROS = bytes(PAGE_BYTES)
_READ_BYTES = 1 << 20


def encoded(fd: int, offset: int, size_bytes: int) -> list[bytes]:
    """The range of the open memory file `fd`, in pieces; none where all of it is zero. Raises OSError.

    `offset` and `size_bytes` are whole pages.
    """
    table = array("I", bytes(4 * (size_bytes // PAGE_BYTES)))
    numbers: dict[bytes, int] = {}
    for at, block in _blocks(fd, offset, offset + size_bytes):
        first = (at - offset) // PAGE_BYTES
        for index in range(len(block) // PAGE_BYTES):
            page = block[index * PAGE_BYTES : (index + 1) * PAGE_BYTES]
            if page != _ZEROS:
                table[first + index] = numbers.setdefault(page, len(numbers) + 1)
    if not numbers:
        return []
    return [_HEADER.pack(_MAGIC, len(table), len(numbers)), _little_endian(table).tobytes(), *numbers]


def largest_bytes(size_bytes: int) -> int:
    """How long the encoding of a range of `size_bytes` can be."""
    return _HEADER.size + size_bytes // PAGE_BYTES * (PAGE_BYTES + 4)


def decoded(part: bytes, size_bytes: int) -> Iterator[tuple[int, memoryview]]:
    """What is not zero in the range of `size_bytes` that `part` encodes: offsets in it, ascending, and
    content.

    Raises Corrupt where it is not what `encoded` writes of such a range, before anything is given out.
    """
    table, contents = _checked(part, size_bytes)
    page = 0
    while page < len(table):
        number, first = table[page], page
        page += 1
        if number:
            while page < len(table) and table[page] == number + page - first:
                page += 1
            start = (number - 1) * PAGE_BYTES
            yield first * PAGE_BYTES, contents[start : start + (page - first) * PAGE_BYTES]


def _checked(part: bytes, size_bytes: int) -> tuple[array[int], memoryview]:
    """The table and the contents."""
    if len(part) < _HEADER.size:
        raise Corrupt("it is too short")
    magic, pages, count = _HEADER.unpack_from(part)
    if magic != _MAGIC:
        raise Corrupt("it is no memory of a machine")
    if pages * PAGE_BYTES != size_bytes or count > pages:
        raise Corrupt(f"it has {count} contents for {pages} pages, where {size_bytes // PAGE_BYTES} belong")
    start = _HEADER.size + 4 * pages
    if len(part) != start + count * PAGE_BYTES:
        raise Corrupt(f"it has {len(part)} bytes, not {start + count * PAGE_BYTES}")
    table = array("I")
    table.frombytes(part[_HEADER.size : start])
    _little_endian(table)
    seen = 0
    for number in table:
        if number > seen:
            if number != seen + 1:
                raise Corrupt(f"a page has the content {number}, before {seen + 1} was shown")
            seen = number
    if seen != count:
        raise Corrupt(f"{count - seen} of its contents belong to no page")
    return table, memoryview(part)[start:]


def _blocks(fd: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """What the file holds between `start` and `end`, in whole pages; its holes are left out."""
    while start < end:
        try:
            data = os.lseek(fd, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return  # a hole to the end of the file
        start = max(start, data - data % PAGE_BYTES)
        hole = os.lseek(fd, data, os.SEEK_HOLE)
        stop = min(end, hole + -hole % PAGE_BYTES)
        while start < stop:
            block = os.pread(fd, min(_READ_BYTES, stop - start), start)
            if len(block) % PAGE_BYTES or not block:
                raise OSError(errno.EIO, "the memory file ends in the middle of a page")
            yield start, block
            start += len(block)


def _little_endian(table: array[int]) -> array[int]:
    if sys.byteorder == "big":
        table.byteswap()
    return table
