"""Any memory comes back as it was, and no bytes are taken for memory that they are not."""

from __future__ import annotations

import os
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from firkin.errors import Corrupt
from firkin.snapshot.memory_part import PAGE_BYTES, decoded, encoded, largest_bytes

PAGES = st.lists(st.sampled_from([b"\0", b"\1", b"\2", b"\3"]), max_size=40)


def memory_file(content: bytes, start: int = 0) -> int:
    """A file of memory with `content` from `start` on and holes around it."""
    fd = os.memfd_create("memory")
    os.ftruncate(fd, start + len(content) + 64 * PAGE_BYTES)
    for at in range(0, len(content), PAGE_BYTES):
        if any(content[at : at + PAGE_BYTES]):
            os.pwrite(fd, content[at : at + PAGE_BYTES], start + at)
    return fd


def rebuilt(part: bytes, size: int) -> bytes:
    memory = bytearray(size)
    for offset, content in decoded(part, size):
        memory[offset : offset + len(content)] = content
    return bytes(memory)


@given(PAGES, st.integers(0, 5))
@settings(max_examples=200)
def test_memory_comes_back_as_it_was(pages: list[bytes], before: int) -> None:
    content = b"".join(page * PAGE_BYTES for page in pages)
    fd = memory_file(content, before * PAGE_BYTES)
    try:
        part = b"".join(encoded(fd, before * PAGE_BYTES, len(content)))
    finally:
        os.close(fd)
    assert len(part) <= largest_bytes(len(content))
    if any(content):
        assert rebuilt(part, len(content)) == content
        assert part.count(b"\1" * PAGE_BYTES) <= 1
    else:
        assert part == b""


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.integers(0, 6), st.integers(-1, 1))
@settings(max_examples=500)
def test_what_is_taken_for_memory_is_written_as_it_would_be_written_here(
    table: list[int], count: int, more: int
) -> None:
    contents = b"".join(bytes([number + 1]) * PAGE_BYTES for number in range(count))
    head = struct.pack(f"<16sII{len(table)}I", b"firkin memory 1\n", len(table), count, *table)
    part = head + (contents + b"!" if more > 0 else contents[: len(contents) + more])
    size = len(table) * PAGE_BYTES
    try:
        memory = rebuilt(part, size)
    except Corrupt:
        return
    fd = memory_file(memory)
    try:
        assert b"".join(encoded(fd, 0, size)) == (part if count else b"")
    finally:
        os.close(fd)


@given(st.binary(max_size=4 * PAGE_BYTES))
def test_noise_is_refused(noise: bytes) -> None:
    try:
        list(decoded(noise, PAGE_BYTES))
    except Corrupt:
        return
    raise AssertionError("noise was taken for memory")
