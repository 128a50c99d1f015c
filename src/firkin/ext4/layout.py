"""Layout: where the fixed parts of a file system of a given size lie. Pure numbers; no I/O.

    group 0:  superblock | descriptors | flex area of groups 0..15 | data ...
    group 1:  superblock | descriptors | data ...         backups: in groups 1 and the powers of 3, 5 and 7
    group 2:  data ...
    group 16: flex area of groups 16..31 | data ...

A flex area holds the block bitmaps, the inode bitmaps and the inode tables of its 16 groups. A fresh table is
nothing but zeros, so an empty 10 GiB file system costs a few kilobytes of a sparse file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from firkin.errors import UsageError
from firkin.units import format_size

BLOCK_BYTES = 4096
GROUP_BLOCKS = 8 * BLOCK_BYTES
INODE_BYTES = 256
DESCRIPTOR_BYTES = 64
FLEX_GROUPS_LOG2 = 4
JOURNAL = 8
"""The journal's inode, where there is a journal."""
FIRST_INODE = 11

_FLEX_GROUPS = 1 << FLEX_GROUPS_LOG2
_INODES_PER_BLOCK = BLOCK_BYTES // INODE_BYTES
_SMALLEST_BYTES = 1 << 20
_LARGEST_BYTES = 16 << 40
_SMALL_DISK_BYTES = 512 << 20
# mke2fs' own ratios for small and for ordinary file systems: a small one tends to hold small files.
_BYTES_PER_INODE_SMALL = 4096
_BYTES_PER_INODE = 16384
# A last group with less room than this behind its metadata is left out, as mke2fs does.
_WORTHWHILE_BLOCKS = 50


@dataclass(frozen=True, slots=True)
class Layout:
    """Counts are in blocks of 4 KiB; groups are numbered from 0."""

    blocks: int
    inodes_per_group: int

    @classmethod
    def for_size(cls, size_bytes: int) -> Layout:
        """The layout of a file system of `size_bytes`, rounded down to whole blocks. Raises UsageError."""
        if not _SMALLEST_BYTES <= size_bytes <= _LARGEST_BYTES:
            raise UsageError(
                f"a disk of {size_bytes} bytes cannot be made",
                hint=f"choose between {format_size(_SMALLEST_BYTES)} and {format_size(_LARGEST_BYTES)}",
            )
        blocks = size_bytes // BLOCK_BYTES
        layout = cls(blocks, _inodes_per_group(blocks, size_bytes))
        last = layout.groups - 1
        if last and layout.group_blocks(last) < layout.reserved_blocks(last) + _WORTHWHILE_BLOCKS:
            return cls(last * GROUP_BLOCKS, layout.inodes_per_group)
        return layout

    @property
    def groups(self) -> int:
        return -(-self.blocks // GROUP_BLOCKS)

    @property
    def inodes(self) -> int:
        return self.groups * self.inodes_per_group

    @property
    def table_blocks(self) -> int:
        """Blocks of one group's inode table."""
        return self.inodes_per_group // _INODES_PER_BLOCK

    @property
    def descriptor_blocks(self) -> int:
        return -(-self.groups * DESCRIPTOR_BYTES // BLOCK_BYTES)

    @property
    def overhead_blocks(self) -> int:
        return sum(map(self.reserved_blocks, range(self.groups)))

    def group_start(self, group: int) -> int:
        return group * GROUP_BLOCKS

    def group_blocks(self, group: int) -> int:
        return min(GROUP_BLOCKS, self.blocks - group * GROUP_BLOCKS)

    def head_blocks(self, group: int) -> int:
        """Blocks of the superblock and the descriptors, or of their backup, at the start of `group`."""
        return 1 + self.descriptor_blocks if has_superblock(group) else 0

    def reserved_blocks(self, group: int) -> int:
        """Blocks at the start of `group` that hold the file system's fixed parts."""
        if group % _FLEX_GROUPS:
            return self.head_blocks(group)
        return self.head_blocks(group) + self._members(group) * (2 + self.table_blocks)

    def block_bitmap(self, group: int) -> int:
        return self._flex_area(group) + group % _FLEX_GROUPS

    def inode_bitmap(self, group: int) -> int:
        return self._flex_area(group) + self._members(group) + group % _FLEX_GROUPS

    def inode_table(self, group: int) -> int:
        return self._flex_area(group) + 2 * self._members(group) + group % _FLEX_GROUPS * self.table_blocks

    def is_flex_leader(self, group: int) -> bool:
        return group % _FLEX_GROUPS == 0

    def data_ranges(self) -> Iterator[tuple[int, int]]:
        """(first block, count) of each stretch of blocks that files may use, ascending and never adjacent."""
        start = end = 0
        for group in range(self.groups):
            first = self.group_start(group) + self.reserved_blocks(group)
            if first != end:
                if end > start:
                    yield start, end - start
                start = first
            end = self.group_start(group) + self.group_blocks(group)
        if end > start:
            yield start, end - start

    def _flex_area(self, group: int) -> int:
        leader = group - group % _FLEX_GROUPS
        return self.group_start(leader) + self.head_blocks(leader)

    def _members(self, group: int) -> int:
        leader = group - group % _FLEX_GROUPS
        return min(_FLEX_GROUPS, self.groups - leader)


def _inodes_per_group(blocks: int, size_bytes: int) -> int:
    """Inodes for each group by the ratio, rounded up to whole blocks of its table."""
    ratio = _BYTES_PER_INODE_SMALL if size_bytes < _SMALL_DISK_BYTES else _BYTES_PER_INODE
    groups = -(-blocks // GROUP_BLOCKS)
    wanted = -(-blocks * BLOCK_BYTES // (ratio * groups))
    return min(-(-wanted // _INODES_PER_BLOCK) * _INODES_PER_BLOCK, GROUP_BLOCKS)


def has_superblock(group: int) -> bool:
    """Whether sparse_super puts a superblock into `group`."""
    if group <= 1:
        return True
    for base in (3, 5, 7):
        power = base
        while power < group:
            power *= base
        if power == group:
            return True
    return False
