"""Inflate: a layer's blob to its tar bytes, piece by piece, by what the blob begins with.

The media type was judged when the manifest was read; the blob's first bytes are what cannot be wrong. No
piece holds more than 1 MiB, however well the blob was compressed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from firkin.errors import Corrupt, UnsupportedMediaType

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x04\x22\x4d\x18": "lz4"}
_INPUT_BYTES = 256 << 10
_OUTPUT_BYTES = 1 << 20


def inflated(blob: BinaryIO) -> Iterator[bytes]:
    """The uncompressed bytes of `blob`, which stays the caller's. Raises Corrupt, UnsupportedMediaType."""
    start = blob.read(6)
    blob.seek(0)
    if start.startswith(_GZIP):
        return _gunzipped(blob)
    if start.startswith(_ZSTD):
        return _unzstded(blob)
    for magic, name in _OTHERS.items():
        if start.startswith(magic):
            raise UnsupportedMediaType(
                f"a layer is compressed with {name}", hint="compress it with gzip or zstd, or not at all"
            )
    return iter(lambda: blob.read(_OUTPUT_BYTES), b"")


def _gunzipped(blob: BinaryIO) -> Iterator[bytes]:
    """All members of a gzip file, each checked against its CRC; zeros may follow the last one."""
    from isal import igzip_lib

    rest = blob.read(_INPUT_BYTES)
    while rest:
        member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        while not member.eof:
            if member.needs_input and not rest and not (rest := blob.read(_INPUT_BYTES)):
                raise _damaged("it ends too early")
            try:
                piece = member.decompress(rest, _OUTPUT_BYTES)
            except igzip_lib.error as error:  # type: ignore[misc]  # an exception class, typed as an instance
                raise _damaged(str(error)) from error
            rest = b""
            if piece:
                yield piece
        rest = member.unused_data or blob.read(_INPUT_BYTES)
        if rest and not rest.strip(b"\0"):
            return


def _unzstded(blob: BinaryIO) -> Iterator[bytes]:
    import zstandard

    stream = zstandard.ZstdDecompressor().stream_reader(
        blob, _INPUT_BYTES, read_across_frames=True, closefd=False
    )
    try:
        while piece := stream.read(_OUTPUT_BYTES):
            yield piece
    except zstandard.ZstdError as error:
        raise _damaged(str(error)) from error


def _damaged(why: str) -> Corrupt:
    return Corrupt(f"a layer cannot be uncompressed: {why}", hint="remove the image and pull it again")
