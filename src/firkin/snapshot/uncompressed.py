"""Uncompressed: what a blob of a snapshot that travels grows to, no more than was announced, and verified.

The blob is hashed while it is read, whatever the store thinks of it, and no piece holds more than 1 MiB,
however well it was compressed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

import zstandard

from firkin.errors import Corrupt, DigestMismatch
from firkin.oci.digest import Digest

_PIECE_BYTES = 1 << 20
_HOLE_BYTES = 64 << 10
_MAX_WINDOW_BYTES = 1 << 27
_ZEROS = bytes(_HOLE_BYTES)


def uncompressed(
    blob: BinaryIO, digest: Digest, most_bytes: int, moved: Callable[[int], None]
) -> Iterator[bytes]:
    """The content of the zstd frame in `blob`, which has `digest`. `moved` is told how much of it was read.

    Raises Corrupt where it is no such frame or holds more than `most_bytes`, and at its end DigestMismatch:
    so what it gave out may be kept only when it is through.
    """
    hashed = _Hashed(blob, moved)
    source = cast("BinaryIO", hashed)
    stream = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES).stream_reader(source, _PIECE_BYTES)
    total = 0
    try:
        while piece := stream.read(_PIECE_BYTES):
            total += len(piece)
            if total > most_bytes:
                raise Corrupt(f"blob {digest} uncompresses to more than {most_bytes} bytes", hint=AGAIN)
            yield piece
    except zstandard.ZstdError as error:
        hashed.check(digest)
        raise Corrupt(f"blob {digest} cannot be uncompressed: {error}", hint=AGAIN) from error
    hashed.check(digest)


AGAIN = "have it exported again"


class _Hashed:
    """A blob that is hashed as it is read."""

    def __init__(self, blob: BinaryIO, moved: Callable[[int], None]) -> None:
        self._blob = blob
        self._moved = moved
        self._hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        packed = self._blob.read(size)
        self._hash.update(packed)
        self._moved(len(packed))
        return packed

    def check(self, digest: Digest) -> None:
        """Raise DigestMismatch unless the whole blob, with what stands behind the frame, has `digest`."""
        while self.read(_PIECE_BYTES):
            pass
        if "sha256:" + self._hash.hexdigest() != str(digest):
            raise DigestMismatch(
                f"blob {digest} in the store has changed on the disk", hint="firkin prune, and try again"
            )


def write_sparsely(fd: int, piece: bytes) -> None:
    """Write `piece` where the file is, leaving holes for zeros. Raises OSError."""
    for start in range(0, len(piece), _HOLE_BYTES):
        part = memoryview(piece)[start : start + _HOLE_BYTES]
        if part == _ZEROS[: len(part)]:
            os.lseek(fd, len(part), os.SEEK_CUR)
        else:
            write_at(fd, part, os.lseek(fd, 0, os.SEEK_CUR))
            os.lseek(fd, len(part), os.SEEK_CUR)


def write_at(fd: int, content: memoryview, offset: int) -> None:
    """Write all of `content` at `offset`. Raises OSError."""
    while content:
        written = os.pwrite(fd, content, offset)
        content, offset = content[written:], offset + written
