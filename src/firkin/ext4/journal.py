"""The journal of a file system that outlives machines: whatever ends one, the next finds it consistent.

Inode 8, a file of its own. Its first block is the jbd2 superblock, the rest is read only once something was
written there: so an empty one is a hole. Documentation/filesystems/ext4/journal.rst.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Callable

from firkin.ext4.extents import mapped
from firkin.ext4.layout import BLOCK_BYTES, JOURNAL, Layout
from firkin.ext4.node import File
from firkin.ext4.space import Space
from firkin.ext4.superblock import Identity

_MAGIC, _SUPERBLOCK_V2 = 0xC03B3998, 4
_SIZES = ((32768, 1024), (262144, 4096), (524288, 8192), (4194304, 16384))
"""Below so many blocks of a file system, so many of its journal: mke2fs' own steps."""
_LARGEST = 32768


def place(space: Space, identity: Identity, put: Callable[[int, bytes], None]) -> File:
    """A journal in `space`, for write_metadata(); where there is no room, that says so."""
    journal = File(stat.S_IFREG | 0o600, 0, 0, 0, 0, 0, None, 0, [])
    blocks = _blocks(space.layout)
    journal.number, journal.links = JOURNAL, 1
    journal.size = blocks * BLOCK_BYTES
    journal.mappings = mapped(space.allocate(blocks))
    if not space.missing_blocks:
        put(journal.mappings[0][1] * BLOCK_BYTES, _superblock(blocks, identity.uuid))
    return journal


def _blocks(layout: Layout) -> int:
    return next((blocks for below, blocks in _SIZES if layout.blocks < below), _LARGEST)


def _superblock(blocks: int, uuid: bytes) -> bytes:
    """An empty log that begins with transaction 1 in block 1; big-endian, as all of jbd2."""
    header = struct.pack(">3I", _MAGIC, _SUPERBLOCK_V2, 0)
    log = struct.pack(">6I", BLOCK_BYTES, blocks, 1, 1, 0, 0)
    features = struct.pack(">3I16sI", 0, 0, 0, uuid, 1)
    return (header + log + features).ljust(BLOCK_BYTES, b"\0")
