"""Content: whether two files hold the same bytes, read only where their disks can differ."""

from __future__ import annotations

from collections.abc import Iterator

from firkin.events import event
from firkin.ext4.layout import BLOCK_BYTES
from firkin.ext4.node import Mapping
from firkin.ext4.reader.file_system import FileSystem
from firkin.ext4.reader.inode import Inode
from firkin.snapshot.touched import Touched

_PIECE_BLOCKS = 256
_NOWHERE: Mapping = (1 << 62, 0, 0)

Stretch = tuple[int, int, int | None, int | None]
"""Block in the file, how many; where they begin on the old disk and on the new, None for a hole."""


def differs(old: FileSystem, new: FileSystem, before: Inode, after: Inode, touched: Touched) -> bool:
    """Whether the content of `before` on `old` is another than that of `after` on `new`, of the same size.

    Raises Corrupt.
    """
    end = -(-after.size // BLOCK_BYTES)
    sides = _counted(old, before), _counted(new, after)
    for block, count, there, here in _stretches(*sides, end):
        for at in range(0, count, _PIECE_BLOCKS):
            size = min(min(_PIECE_BLOCKS, count - at) * BLOCK_BYTES, after.size - (block + at) * BLOCK_BYTES)
            was = None if there is None else (there + at) * BLOCK_BYTES
            is_ = None if here is None else (here + at) * BLOCK_BYTES
            if was is not None and was == is_ and not touched.any(was, size):
                continue
            event("diff.content", inode=after.number)
            if _read(old, was, size) != _read(new, is_, size):
                return True
    return False


def _read(files: FileSystem, offset: int | None, size: int) -> bytes:
    return bytes(size) if offset is None else files.source.read(offset, size)


def _counted(files: FileSystem, inode: Inode) -> Iterator[Mapping]:
    for mapping in files.mappings(inode):
        files.spend(mapping[2], inode)
        yield mapping


def _stretches(old: Iterator[Mapping], new: Iterator[Mapping], end: int) -> Iterator[Stretch]:
    """The blocks before `end` that one side has at least, cut wherever a mapping of either begins or ends."""
    there, here = next(old, _NOWHERE), next(new, _NOWHERE)
    at = 0
    while (at := max(at, min(there[0], here[0]))) < end:
        starts = [(side[1] + at - side[0]) if side[0] <= at else None for side in (there, here)]
        edges = [side[0] + side[2] if side[0] <= at else side[0] for side in (there, here)]
        stop = min(*edges, end)
        yield at, stop - at, starts[0], starts[1]
        at = stop
        if there[0] + there[2] == at:
            there = next(old, _NOWHERE)
        if here[0] + here[2] == at:
            here = next(new, _NOWHERE)
