"""PlainTar: an archive that may be compressed, as the plain one that the agent unpacks."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

from firkin.errors import Corrupt, UnsupportedMediaType

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x04\x22\x4d\x18": "lz4"}
_OUTPUT_BYTES = 1 << 18


class _Inflate(Protocol):
    def __call__(self, piece: bytes, /) -> Iterator[bytes]: ...


async def plain(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """`pieces` uncompressed: gzip, zstd, or as they are. Raises Corrupt, UnsupportedMediaType."""
    start = b""
    async for piece in pieces:
        start += piece
        if len(start) >= len(_ZSTD):
            break
    for magic, name in _OTHERS.items():
        if start.startswith(magic):
            raise UnsupportedMediaType(
                f"the archive is compressed with {name}", hint="uncompress it, or use gzip or zstd"
            )
    inflate = _Gunzip() if start.startswith(_GZIP) else _Unzstd() if start.startswith(_ZSTD) else _as_it_is
    for more in inflate(start):
        yield more
    async for piece in pieces:
        for more in inflate(piece):
            yield more
    if isinstance(inflate, _Gunzip) and not inflate.ended:
        raise Corrupt("the archive is cut short: its compressed stream does not end", hint="get it again")


def _as_it_is(piece: bytes) -> Iterator[bytes]:
    if piece:
        yield piece


class _Gunzip:
    """All members of a gzip stream, at most _OUTPUT_BYTES at a time, however well they were compressed."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(31)

    @property
    def ended(self) -> bool:
        return self._member.eof

    def __call__(self, piece: bytes) -> Iterator[bytes]:
        while piece:
            if self._member.eof:
                if not piece.strip(b"\0"):
                    return
                self._member = zlib.decompressobj(31)
            try:
                more = self._member.decompress(piece, _OUTPUT_BYTES)
            except zlib.error as error:
                raise Corrupt(f"the archive cannot be uncompressed: {error}", hint="get it again") from error
            piece = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if more:
                yield more


class _Unzstd:
    def __init__(self) -> None:
        import zstandard

        self._error: type[Exception] = zstandard.ZstdError
        self._frames = zstandard.ZstdDecompressor().decompressobj(
            write_size=_OUTPUT_BYTES, read_across_frames=True
        )

    def __call__(self, piece: bytes) -> Iterator[bytes]:
        try:
            more = self._frames.decompress(piece)
        except self._error as error:
            raise Corrupt(f"the archive cannot be uncompressed: {error}", hint="get it again") from error
        if more:
            yield more
