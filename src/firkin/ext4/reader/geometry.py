"""Geometry: where everything lies, says the superblock. Documentation/filesystems/ext4/super.rst."""

from __future__ import annotations

import struct

import msgspec

from firkin.ext4.checksum import extend, state_of, stored
from firkin.ext4.layout import BLOCK_BYTES, DESCRIPTOR_BYTES, GROUP_BLOCKS, INODE_BYTES, has_superblock
from firkin.ext4.reader.damage import damaged

SUPERBLOCK_AT, SUPERBLOCK_BYTES = 1024, 1024

_MAGIC = 0xEF53
_METADATA_CSUM = 0x400
_FILETYPE, _META_BG, _EXTENTS, _64BIT, _FLEX_BG, _CSUM_SEED = 0x2, 0x10, 0x40, 0x80, 0x200, 0x2000
_NEEDED = _FILETYPE | _EXTENTS | _64BIT
_KNOWN = _NEEDED | _META_BG | _FLEX_BG | _CSUM_SEED
_NAMES = {
    0x1: "compression", 0x4: "needs_recovery", 0x8: "journal_dev", 0x100: "mmp", 0x400: "ea_inode",
    0x1000: "dirdata", 0x4000: "large_dir", 0x8000: "inline_data", 0x10000: "encrypt", 0x20000: "casefold",
}  # fmt: skip
_BIGALLOC = 0x200
_CHECKSUM_AT = 0x3FC
_DESCRIPTORS_PER_BLOCK = BLOCK_BYTES // DESCRIPTOR_BYTES


class Geometry(msgspec.Struct, frozen=True):
    name: str
    """What the file system is called in errors."""
    blocks: int
    inodes: int
    inodes_per_group: int
    first_inode: int
    """The first that is not reserved."""
    seed: int
    """The state that every metadata checksum begins with."""
    first_meta_group: int
    """From this block of descriptors on, each stands in the groups that it describes: growth does that."""

    @classmethod
    def parse(cls, raw: bytes, disk_bytes: int, name: str) -> Geometry:
        """The geometry in the superblock `raw` of a disk of `disk_bytes`. Raises Corrupt."""
        (magic,) = struct.unpack_from("<H", raw, 0x38)
        if magic != _MAGIC:
            raise damaged("the superblock", name, "is none")
        if struct.unpack_from("<I", raw, _CHECKSUM_AT)[0] != stored(state_of(raw[:_CHECKSUM_AT])):
            raise damaged("the superblock", name, "does not match its checksum")
        incompatible, read_only = struct.unpack_from("<II", raw, 0x60)
        _check_features(incompatible, read_only, name)
        inodes, blocks_low = struct.unpack_from("<II", raw)
        first_data, log_block = struct.unpack_from("<II", raw, 0x14)
        group_blocks, _, inodes_per_group = struct.unpack_from("<III", raw, 0x20)
        first_inode, inode_bytes = struct.unpack_from("<IH", raw, 0x54)
        (descriptor_bytes,) = struct.unpack_from("<H", raw, 0xFE)
        shape = (first_data, log_block, group_blocks, inode_bytes, descriptor_bytes)
        if shape != (0, 2, GROUP_BLOCKS, INODE_BYTES, DESCRIPTOR_BYTES):
            raise damaged("the superblock", name, f"tells of another layout than firkin's: {shape}")
        blocks = blocks_low | struct.unpack_from("<I", raw, 0x150)[0] << 32
        if not 0 < blocks * BLOCK_BYTES <= disk_bytes:
            raise damaged("the superblock", name, f"claims {blocks} blocks on a disk of {disk_bytes} bytes")
        groups = -(-blocks // GROUP_BLOCKS)
        if not 0 < inodes_per_group <= GROUP_BLOCKS or inodes != groups * inodes_per_group or first_inode < 3:
            raise damaged("the superblock", name, f"claims {inodes} inodes, {inodes_per_group} in a group")
        seeded = struct.unpack_from("<I", raw, 0x270)[0] ^ 0xFFFFFFFF
        seed = seeded if incompatible & _CSUM_SEED else state_of(raw[0x68:0x78])
        (first_meta,) = struct.unpack_from("<I", raw, 0x104)
        return cls(
            name,
            blocks,
            inodes,
            inodes_per_group,
            first_inode,
            seed,
            first_meta if incompatible & _META_BG else groups,
        )

    def descriptor_place(self, group: int) -> tuple[int, int]:
        """The block of `group`'s descriptor and the offset in it; ext4_descriptor_loc() of the kernel."""
        row, column = divmod(group, _DESCRIPTORS_PER_BLOCK)
        leader = row * _DESCRIPTORS_PER_BLOCK
        block = row + 1 if row < self.first_meta_group else leader * GROUP_BLOCKS + has_superblock(leader)
        return block, column * DESCRIPTOR_BYTES

    def inode_table(self, group: int, descriptor: bytes) -> int:
        """The first block of the inode table that `descriptor`, `group`'s, tells. Raises Corrupt."""
        content = descriptor[:0x1E] + b"\0\0" + descriptor[0x20:]
        checksum = stored(extend(extend(self.seed, struct.pack("<I", group)), content)) & 0xFFFF
        if struct.unpack_from("<H", descriptor, 0x1E)[0] != checksum:
            raise damaged(f"group {group}", self.name, "does not match its descriptor's checksum")
        table = int(
            struct.unpack_from("<I", descriptor, 0x08)[0]
            | struct.unpack_from("<I", descriptor, 0x28)[0] << 32
        )
        if not 0 < table <= self.blocks - -(-self.inodes_per_group * INODE_BYTES // BLOCK_BYTES):
            raise damaged(
                f"group {group}", self.name, f"has its inode table at block {table}, beyond the end"
            )
        return table


def _check_features(incompatible: int, read_only: int, name: str) -> None:
    strange = incompatible & ~_KNOWN
    names = [_NAMES.get(1 << bit, f"{1 << bit:#x}") for bit in range(32) if strange >> bit & 1]
    names += ["bigalloc"] if read_only & _BIGALLOC else []
    if names:
        raise damaged("the superblock", name, f"has features that firkin's has not: {', '.join(names)}")
    if incompatible & _NEEDED != _NEEDED or not read_only & _METADATA_CSUM:
        raise damaged("the superblock", name, "lacks features that firkin's has")
