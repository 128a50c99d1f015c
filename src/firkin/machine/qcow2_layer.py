"""A Layer: one qcow2 file, read without QEMU: which clusters it has, and what is in them.

    L1 table -> L2 table -> cluster        an entry of 0: the layer says nothing, ask the one below

The file was written by a VMM that ran a hostile guest. Every offset is checked against the file, every table
stands at one place of the L1 table only, no more than 16 MiB of tables are kept, and a compressed cluster
grows to one cluster. Refcounts say nothing about content and are not read.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from types import TracebackType

from firkin.errors import Corrupt
from firkin.machine.qcow2_file import DiskFile
from firkin.machine.qcow2_header import HEADER_BYTES, Header

_OFFSET = 0x00FF_FFFF_FFFF_FE00
_ZERO, _COMPRESSED, _COPIED = 1, 1 << 62, 1 << 63
_CACHE_BYTES = 16 << 20


class Layer:
    """A qcow2 file of `size_bytes`. The caller closes it; nothing may write to it meanwhile."""

    def __init__(self, path: Path) -> None:
        """Raises Corrupt where it is not what a VMM of ours writes, HostUnsupported where it cannot be
        read.
        """
        self.path = path
        self._file = DiskFile(path)
        try:
            self._header = Header.parse(self._file.read(0, HEADER_BYTES), self._file.size_bytes)
            self.size_bytes = self._header.size_bytes
            self._cluster = 1 << self._header.cluster_bits
            self._l1 = self._read_l1()
        except Corrupt as error:
            self.close()
            raise self._bad(str(error)) from error
        except BaseException:
            self.close()
            raise
        self._l2: dict[int, array[int]] = {}
        self._uncompressed = (-1, b"")

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Layer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fill(self, offset: int, size: int, found: dict[int, bytes]) -> list[tuple[int, int]]:
        """Put what the layer has of these bytes into `found`, by offset; (offset, size) of what it has not.

        Beyond its end it has zeros: what lies below is as long as it is. Raises Corrupt.
        """
        end = offset + size
        if end > self.size_bytes:
            cut = max(offset, self.size_bytes)
            found[cut] = bytes(end - cut)
            end = cut
        missing: list[tuple[int, int]] = []
        while offset < end:
            length = min(end - offset, self._cluster - (offset & self._cluster - 1))
            entry = self._entry(offset >> self._header.cluster_bits)
            if entry & ~_COPIED:
                found[offset] = self._content(entry, offset & self._cluster - 1, length)
            elif missing and missing[-1][0] + missing[-1][1] == offset:
                missing[-1] = (missing[-1][0], missing[-1][1] + length)
            else:
                missing.append((offset, length))
            offset += length
        return missing

    def allocated(self) -> Iterator[tuple[int, int]]:
        """(offset, size) of all that the layer has and those below it do not show through, ascending.

        Raises Corrupt.
        """
        span = self._cluster // 8
        for index, at in enumerate(self._l1):
            if not at & _OFFSET:
                continue
            first = index * span
            for is_there, members in groupby(map(bool, self._table(index))):
                count = sum(1 for _ in members)
                if is_there and (offset := first * self._cluster) < self.size_bytes:
                    yield offset, min(count * self._cluster, self.size_bytes - offset)
                first += count

    def _read_l1(self) -> array[int]:
        header = self._header
        table = _numbers(self._file.read(header.l1_at, 8 * header.l1_entries))
        seen = set()
        for entry in filter(None, table):
            at = entry & _OFFSET
            misplaced = not at or at % self._cluster or at + self._cluster > self._file_end
            if misplaced or entry & ~(_OFFSET | _COPIED):
                raise Corrupt(f"has an impossible L1 entry: {entry:#x}")
            if at in seen:
                raise Corrupt(f"uses the L2 table at {at} twice")
            seen.add(at)
        return table

    @property
    def _file_end(self) -> int:
        """The file's end, rounded up to whole clusters: the last one may be short."""
        return -(-self._file.size_bytes // self._cluster) * self._cluster

    def _entry(self, cluster: int) -> int:
        index, place = divmod(cluster, self._cluster // 8)
        return self._table(index)[place] if self._l1[index] & _OFFSET else 0

    def _table(self, index: int) -> array[int]:
        """The L2 table of the L1 entry `index`, which has one. Those used last are kept."""
        table = self._l2.pop(index, None)
        if table is None:
            if len(self._l2) >= max(2, _CACHE_BYTES // self._cluster):
                del self._l2[next(iter(self._l2))]
            table = _numbers(self._file.read(self._l1[index] & _OFFSET, self._cluster))
        self._l2[index] = table
        return table

    def _content(self, entry: int, start: int, length: int) -> bytes:
        """`length` bytes from `start` of the cluster that `entry` describes."""
        if entry & _COMPRESSED:
            return self._inflated(entry)[start : start + length]
        at = entry & _OFFSET
        if entry & ~(_OFFSET | _COPIED | _ZERO) or at % self._cluster or at + self._cluster > self._file_end:
            raise self._bad(f"has an impossible L2 entry: {entry:#x}")
        return bytes(length) if entry & _ZERO else self._file.read(at + start, length)

    def _inflated(self, entry: int) -> bytes:
        """The whole cluster of a compressed entry; the last one is kept."""
        if self._uncompressed[0] == entry:
            return self._uncompressed[1]
        sectors_at = 62 - (self._header.cluster_bits - 8)
        at = entry & (1 << sectors_at) - 1
        sectors = 1 + ((entry & _COMPRESSED - 1) >> sectors_at)
        if entry & _COPIED or at >= self._file.size_bytes:
            raise self._bad(f"has an impossible L2 entry: {entry:#x}")
        packed = self._file.read(at, sectors * 512 - at % 512)
        cluster = _unzstd(packed, self._cluster) if self._header.zstd else _inflate(packed, self._cluster)
        if len(cluster) != self._cluster:
            raise self._bad(f"has a compressed cluster at {at} that cannot be uncompressed")
        self._uncompressed = (entry, cluster)
        return cluster

    def _bad(self, words: str) -> Corrupt:
        return Corrupt(f"disk {self.path} {words}", hint="nothing of it can be trusted: remove what uses it")


def _numbers(raw: bytes) -> array[int]:
    table = array("Q", raw)
    if sys.byteorder == "little":
        table.byteswap()
    return table


def _inflate(packed: bytes, size: int) -> bytes:
    """At most `size` bytes of a raw deflate stream; fewer where it is damaged."""
    try:
        return zlib.decompressobj(-12).decompress(packed, size)
    except zlib.error:
        return b""


def _unzstd(packed: bytes, size: int) -> bytes:
    """At most `size` bytes of a zstd frame; fewer where it is damaged."""
    import zstandard

    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(packed) as stream:
            return stream.read(size)
    except zstandard.ZstdError:
        return b""
