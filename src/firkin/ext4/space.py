"""Space: gives out blocks one after the other, and knows in the end which are in use.

Nothing is given out twice: what a later layer deletes stays free and reads as zeros. So the place of a file
depends on nothing but the files before it.
"""

from __future__ import annotations

from collections.abc import Iterable

from firkin.ext4.layout import BLOCK_BYTES, GROUP_BLOCKS, Layout

Extent = tuple[int, int]
"""First block and count of blocks that follow each other."""

LONGEST_EXTENT = 32768
"""ext4_extent.ee_len of a written extent is at most 1 << 15."""


class Space:
    """The data blocks of one layout. When they run out it goes on counting, past the end of the file system,
    so that the whole need can be told: `missing_blocks` is then above 0 and nothing may be written there.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._ranges = layout.data_ranges()
        self._start = self._at = self._end = 0
        self._past_end = False
        self._given: list[Extent] = []
        self._open()

    @property
    def missing_blocks(self) -> int:
        return self._at - self.layout.blocks if self._past_end else 0

    def allocate(self, count: int) -> list[Extent]:
        """`count` blocks as extents of at most LONGEST_EXTENT, in ascending order; none for 0."""
        at = self._at
        if 0 < count <= LONGEST_EXTENT and at + count <= self._end:
            self._at = at + count
            return [(at, count)]
        extents = []
        while count:
            if self._at == self._end:
                self._open()
            length = min(count, self._end - self._at, LONGEST_EXTENT)
            extents.append((self._at, length))
            self._at += length
            count -= length
        return extents

    def allocate_for(self, size_bytes: int) -> list[Extent]:
        return self.allocate(-(-size_bytes // BLOCK_BYTES))

    def used(self, freed: Iterable[Extent]) -> dict[int, int]:
        """Blocks in use, the fixed parts included, as one bit each in an integer for each group."""
        layout = self.layout
        bitmaps = {group: (1 << layout.reserved_blocks(group)) - 1 for group in range(layout.groups)}
        for first, count in [*self._given, (self._start, self._at - self._start)]:
            for group, bits in _bits(first, count):
                bitmaps[group] |= bits
        for first, count in freed:
            for group, bits in _bits(first, count):
                bitmaps[group] &= ~bits
        return bitmaps

    def _open(self) -> None:
        """Go on to the next range; behind the last one lies an endless range that does not exist."""
        if self._end:
            self._given.append((self._start, self._end - self._start))
        start, count = next(self._ranges, (self.layout.blocks, 1 << 62))
        self._past_end = start == self.layout.blocks
        self._start = self._at = start
        self._end = start + count


def _bits(first: int, count: int) -> Iterable[tuple[int, int]]:
    while count:
        group, offset = divmod(first, GROUP_BLOCKS)
        length = min(count, GROUP_BLOCKS - offset)
        yield group, ((1 << length) - 1) << offset
        first += length
        count -= length
