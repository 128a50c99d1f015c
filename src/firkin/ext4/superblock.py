"""The superblock and the group descriptors. Documentation/filesystems/ext4/{super,group_descr}.rst."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag

from firkin.ext4.checksum import extend, state_of, stored
from firkin.ext4.directory import HALF_MD4, Seed
from firkin.ext4.layout import (
    DESCRIPTOR_BYTES,
    FIRST_INODE,
    FLEX_GROUPS_LOG2,
    GROUP_BLOCKS,
    INODE_BYTES,
    JOURNAL,
    Layout,
)

SUPERBLOCK_BYTES = 1024

_DESCRIPTOR = struct.Struct("<IIIHHHHIHHHHIIIHHHHIHHI")
_DESCRIPTOR_CHECKSUM_AT = 0x1E
_COMPAT = 0x8 | 0x20  # ext_attr, dir_index
_HAS_JOURNAL = 0x4
_INCOMPAT = 0x2 | 0x40 | 0x80 | 0x200  # filetype, extents, 64bit, flex_bg
# sparse_super, large_file, huge_file, dir_nlink, extra_isize, metadata_csum
_RO_COMPAT = 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x400
_UNSIGNED_HASH = 0x2
_DEFAULT_MOUNT_OPTIONS = 0x4 | 0x8  # user_xattr, acl
_CRC32C = 1


class GroupFlag(IntFlag):
    INODE_UNINIT = 1
    BLOCK_UNINIT = 2
    INODE_ZEROED = 4


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells this file system from others: 16 bytes each, the same for the same content."""

    uuid: bytes
    hash_seed: bytes

    @property
    def checksum_seed(self) -> int:
        return state_of(self.uuid)

    @property
    def directory_seed(self) -> Seed:
        a, b, c, d = struct.unpack("<4I", self.hash_seed)
        return a, b, c, d


@dataclass(frozen=True, slots=True)
class Group:
    """The counts of one group, and its bitmaps; a bitmap that the kernel is to work out by itself is None."""

    free_blocks: int
    free_inodes: int
    directories: int
    block_bitmap: bytes | None
    inode_bitmap: bytes | None


def descriptors(layout: Layout, groups: Sequence[Group], seed: int) -> bytes:
    return b"".join(_descriptor(layout, number, group, seed) for number, group in enumerate(groups))


def _descriptor(layout: Layout, number: int, group: Group, seed: int) -> bytes:
    flags = GroupFlag.INODE_ZEROED  # the tables are holes of a sparse file; nobody needs to zero them
    block_checksum = inode_checksum = 0
    if group.block_bitmap is None:
        flags |= GroupFlag.BLOCK_UNINIT
    else:
        block_checksum = stored(extend(seed, group.block_bitmap))
    unused = layout.inodes_per_group
    if group.inode_bitmap is None:
        flags |= GroupFlag.INODE_UNINIT
    else:
        inode_checksum = stored(extend(seed, group.inode_bitmap[: layout.inodes_per_group // 8]))
        unused = group.free_inodes
    places = layout.block_bitmap(number), layout.inode_bitmap(number), layout.inode_table(number)
    counts = group.free_blocks, group.free_inodes, group.directories
    raw = bytearray(
        _DESCRIPTOR.pack(
            *(place & 0xFFFFFFFF for place in places),
            *(count & 0xFFFF for count in counts),
            flags,
            0,
            block_checksum & 0xFFFF,
            inode_checksum & 0xFFFF,
            unused & 0xFFFF,
            0,
            *(place >> 32 for place in places),
            *(count >> 16 for count in counts),
            unused >> 16,
            0,
            block_checksum >> 16,
            inode_checksum >> 16,
            0,
        )
    )
    checksum = stored(extend(seed, struct.pack("<I", number) + raw))
    struct.pack_into("<H", raw, _DESCRIPTOR_CHECKSUM_AT, checksum & 0xFFFF)
    return bytes(raw)


def superblock(
    layout: Layout, groups: Sequence[Group], identity: Identity, *, in_group: int, journal: bytes
) -> bytes:
    """The superblock, or the backup of it that stands in group `in_group`. `journal` is the journal's inode,
    of zeros where there is none.
    """
    raw = bytearray(SUPERBLOCK_BYTES)
    free_blocks = sum(group.free_blocks for group in groups)
    free_inodes = sum(group.free_inodes for group in groups)
    for at, form, values in (
        (0x00, "<4I", (layout.inodes, layout.blocks & 0xFFFFFFFF, 0, free_blocks & 0xFFFFFFFF)),
        (0x10, "<4I", (free_inodes, 0, 2, 2)),  # first data block; blocks and clusters are 1024 << 2
        (0x20, "<3I", (GROUP_BLOCKS, GROUP_BLOCKS, layout.inodes_per_group)),
        (
            0x34,
            "<HHHHH",
            (0, 0xFFFF, 0xEF53, 1, 1),
        ),  # never checked by mount count; magic; clean; errors: go on
        (0x4C, "<I", (1,)),  # revision with dynamic inode sizes
        (0x54, "<IHH", (FIRST_INODE, INODE_BYTES, in_group)),
        (0x5C, "<3I", (_COMPAT, _INCOMPAT, _RO_COMPAT)),
        (0x68, "<16s", (identity.uuid,)),
        (0xEC, "<16sBBH", (identity.hash_seed, HALF_MD4, 0, DESCRIPTOR_BYTES)),
        (0x100, "<I", (_DEFAULT_MOUNT_OPTIONS,)),
        (0x150, "<3I", (layout.blocks >> 32, 0, free_blocks >> 32)),
        (0x15C, "<HHI", (32, 32, _UNSIGNED_HASH)),
        (0x174, "<BB", (FLEX_GROUPS_LOG2, _CRC32C)),
        (0x248, "<I", (layout.overhead_blocks,)),
    ):
        struct.pack_into(form, raw, at, *values)
    if any(journal):
        _tell_journal(raw, journal)
    struct.pack_into("<I", raw, SUPERBLOCK_BYTES - 4, stored(state_of(bytes(raw[:-4]))))
    return bytes(raw)


def _tell_journal(raw: bytearray, inode: bytes) -> None:
    """Where the journal is, and a copy of what its inode says, for e2fsck."""
    struct.pack_into("<I", raw, 0x5C, _COMPAT | _HAS_JOURNAL)
    struct.pack_into("<I", raw, 0xE0, JOURNAL)
    raw[0xFD] = 1  # s_jnl_blocks holds i_block, and the size's two halves
    raw[0x10C:0x150] = inode[40:100] + inode[108:112] + inode[4:8]
