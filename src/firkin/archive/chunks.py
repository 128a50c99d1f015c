"""Chunks: a cursor over an iterable of bytes, which takes headers by the block and content by the piece."""

from __future__ import annotations

from collections.abc import Iterable

from firkin.archive.header import BLOCK_BYTES
from firkin.errors import Corrupt


class Chunks:
    """Holds one chunk at a time. Chunks may be of any size and cut anywhere."""

    __slots__ = ("_at", "_chunk", "_chunks", "_end", "_view")

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._chunk = b""
        self._view = memoryview(b"")
        self._at = self._end = 0

    def block(self) -> bytes | None:
        """The next 512 bytes; None at the end of the stream. Raises Corrupt where it ends inside a block."""
        at = self._at
        end = at + BLOCK_BYTES
        if end <= self._end:
            self._at = end
            return self._chunk[at:end]
        if at == self._end and not self._advance():
            return None
        return self.take(BLOCK_BYTES)

    def piece(self, limit: int) -> memoryview:
        """At least one and at most `limit` bytes without copying, valid while they are referred to.

        Raises Corrupt at the end of the stream.
        """
        if self._at == self._end and not self._advance():
            raise Corrupt(
                "a tar archive ends in the middle of an entry", hint="it was truncated: get it again"
            )
        piece = self._view[self._at : self._at + limit]
        self._at += len(piece)
        return piece

    def take(self, length: int) -> bytes:
        """The next `length` bytes, copied together."""
        pieces = []
        while length:
            pieces.append(self.piece(length))
            length -= len(pieces[-1])
        return b"".join(pieces)

    def skip(self, length: int) -> None:
        while length > self._end - self._at:
            length -= len(self.piece(length))
        self._at += length

    def drain(self) -> None:
        """Read the stream to its end: what follows an archive belongs to its digest, though to no entry."""
        while self._advance():
            pass

    def _advance(self) -> bool:
        """Go on to the next chunk that is not empty; whether there is one."""
        for chunk in self._chunks:
            if chunk:
                self._chunk, self._view, self._at, self._end = chunk, memoryview(chunk), 0, len(chunk)
                return True
        self._chunk, self._view, self._at, self._end = b"", memoryview(b""), 0, 0
        return False
