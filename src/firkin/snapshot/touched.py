"""Touched: where two disks can differ, from which clusters their own layers have."""

from __future__ import annotations

from collections.abc import Iterable

_GRANULE_BITS = 16
_CHUNK_BITS = 13
_CHUNK = 1 << _CHUNK_BITS


class Touched:
    """A set of bytes of a disk, in granules of 64 KiB: what a layer's smallest write fills as a rule.

    Takes a byte for a granule, in chunks of 512 MiB of disk, and only for chunks that have one.
    """

    def __init__(self, runs: Iterable[tuple[int, int]] | None) -> None:
        """Those of `runs`, each an offset and a size; all there are for None."""
        self._everything = runs is None
        self._chunks: dict[int, bytearray] = {}
        for offset, size in runs or ():
            self._add(offset >> _GRANULE_BITS, offset + size - 1 >> _GRANULE_BITS)

    def any(self, offset: int, size: int) -> bool:
        """Whether one of these bytes is in it."""
        if self._everything:
            return True
        first, last = offset >> _GRANULE_BITS, offset + size - 1 >> _GRANULE_BITS
        while first <= last:
            index, start = first >> _CHUNK_BITS, first & _CHUNK - 1
            end = min(last - first + start + 1, _CHUNK)
            chunk = self._chunks.get(index)
            if chunk is not None and chunk.find(1, start, end) >= 0:
                return True
            first = index + 1 << _CHUNK_BITS
        return False

    def _add(self, first: int, last: int) -> None:
        while first <= last:
            index, start = first >> _CHUNK_BITS, first & _CHUNK - 1
            end = min(last - first + start + 1, _CHUNK)
            chunk = self._chunks.setdefault(index, bytearray(_CHUNK))
            chunk[start:end] = b"\1" * (end - start)
            first = index + 1 << _CHUNK_BITS
