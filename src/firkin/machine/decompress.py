"""One-shot decompression of kernels, modules and package members, told apart by their magic.

The rule: the output has a bound, and beyond it Corrupt is raised before memory is spent.
"""

from __future__ import annotations

import struct

from firkin.errors import Corrupt

_XZ, _GZIP, _ZSTD, _BZIP2, _LZMA = b"\xfd7zXZ\0", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\x5d\0\0"
_LZ4_LEGACY = 0x184C2102
_LZ4_LEGACY_BLOCK_BYTES = 8 << 20


def decompress(data: bytes, *, limit_bytes: int, what: str) -> bytes:
    """`data` uncompressed: gzip, xz, lzma, bzip2, zstd, LZ4's legacy format, or plain (returned as it is).

    Bytes after the compressed stream are ignored, as kernels have them. Raises Corrupt, naming `what`, when
    it is damaged or has more than `limit_bytes`.
    """
    try:
        if data.startswith(struct.pack("<I", _LZ4_LEGACY)):
            return _lz4_legacy(data, limit_bytes)
        if data.startswith(_ZSTD):
            return _zstd(data, limit_bytes)
        return _stdlib(data, limit_bytes)
    except Corrupt as error:
        raise Corrupt(f"cannot uncompress {what}: {error}") from error


def _stdlib(data: bytes, limit_bytes: int) -> bytes:
    import bz2
    import lzma
    import zlib

    failures = (lzma.LZMAError, zlib.error, OSError, EOFError)
    try:
        if data.startswith(_GZIP):
            stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
            return _bounded(stream.decompress(data, limit_bytes + 1), limit_bytes, ended=stream.eof)
        if data.startswith((_XZ, _LZMA)):
            xz = lzma.LZMADecompressor(memlimit=1 << 30)
            return _bounded(xz.decompress(data, limit_bytes + 1), limit_bytes, ended=xz.eof)
        if data.startswith(_BZIP2):
            bzip2 = bz2.BZ2Decompressor()
            return _bounded(bzip2.decompress(data, limit_bytes + 1), limit_bytes, ended=bzip2.eof)
    except failures as error:
        raise Corrupt(str(error)) from error
    return _bounded(data, limit_bytes, ended=True)


def _zstd(data: bytes, limit_bytes: int) -> bytes:
    import zstandard

    stream = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    parts, size = [], 0
    try:
        for start in range(0, len(data), 1 << 17):
            parts.append(stream.decompress(data[start : start + (1 << 17)]))
            size += len(parts[-1])
            if size > limit_bytes or stream.eof:
                break
    except zstandard.ZstdError as error:
        raise Corrupt(str(error)) from error
    return _bounded(b"".join(parts), limit_bytes, ended=stream.eof)


def _lz4_legacy(data: bytes, limit_bytes: int) -> bytes:
    """Blocks of at most 8 MiB behind a length each; a length with nothing behind it ends them (the kernel's
    trailer).
    """
    import lz4.block

    parts, size, at = [], 0, 4
    while at + 4 <= len(data) and size <= limit_bytes:
        (length,) = struct.unpack_from("<I", data, at)
        at += 4
        if length == _LZ4_LEGACY:
            continue
        if at == len(data):
            break
        if at + length > len(data):
            raise Corrupt("it is truncated")
        try:
            block = lz4.block.decompress(data[at : at + length], uncompressed_size=_LZ4_LEGACY_BLOCK_BYTES)
        except lz4.block.LZ4BlockError as error:
            raise Corrupt(str(error)) from error
        parts.append(block)
        size += len(block)
        at += length
    return _bounded(b"".join(parts), limit_bytes, ended=bool(parts))


def _bounded(output: bytes, limit_bytes: int, *, ended: bool) -> bytes:
    if len(output) > limit_bytes:
        raise Corrupt(f"more than {limit_bytes} bytes")
    if not ended:
        raise Corrupt("it is truncated")
    return output
