"""Content: gives each new file its blocks, and sends its bytes straight there while they are inflated."""

from __future__ import annotations

from collections.abc import Iterator

from firkin.archive import Entry, TarReader
from firkin.ext4 import BLOCK_BYTES, File, Space
from firkin.ext4.extents import mapped
from firkin.ext4.node import Mapping
from firkin.rootfs.disk import DiskWriter

Region = tuple[int, int]
"""Offset and length of bytes."""


class ContentWriter:
    """Places files on `disk`, in blocks from `space`. `files` are those that got any, deleted ones included.

    Blocks are fresh and the image is sparse, so what is not written reads as zeros.
    """

    def __init__(self, space: Space, disk: DiskWriter) -> None:
        self.files: list[File] = []
        self._space, self._disk = space, disk

    def place(self, file: File, entry: Entry, reader: TarReader) -> None:
        """Take the content of `entry` from `reader`, and note in `file` where it lies."""
        if entry.sparse is None:
            file.mappings = mapped(self._space.allocate_for(file.size))
            regions: tuple[Region, ...] = ((0, file.size),)
        else:
            regions = entry.sparse
            file.mappings = self._allocate_sparse(regions)
        self.files.append(file)
        if self._space.missing_blocks:
            return  # the reader skips what nobody takes; in the end the error says how much room was missing
        put = self._disk.put
        if len(file.mappings) == 1 and entry.sparse is None:
            at = file.mappings[0][1] * BLOCK_BYTES
            for piece in reader.content():
                put(at, piece)
                at += len(piece)
        else:
            self._scatter(_spans(file.mappings, regions), reader)
        self._disk.pad()

    def _allocate_sparse(self, regions: tuple[Region, ...]) -> list[Mapping]:
        mappings: list[Mapping] = []
        done = 0
        for offset, length in regions:
            first = max(done, offset // BLOCK_BYTES)
            done = max(first, -(-(offset + length) // BLOCK_BYTES))
            mappings += mapped(self._space.allocate(done - first), first)
        return mappings

    def _scatter(self, spans: Iterator[Region], reader: TarReader) -> None:
        """Write the content to `spans` of the disk, one after the other."""
        at = left = 0
        for piece in reader.content():
            while piece:
                if not left:
                    at, left = next(spans)
                part = piece[:left]
                self._disk.put(at, part)
                at += len(part)
                left -= len(part)
                piece = piece[len(part) :]


def _spans(mappings: list[Mapping], regions: tuple[Region, ...]) -> Iterator[Region]:
    """Where on the disk the bytes of `regions` of the file lie; both ascend, and the one covers the other."""
    waiting = iter(mappings)
    logical, disk, count = next(waiting)
    for offset, length in regions:
        while length:
            while offset >= (logical + count) * BLOCK_BYTES:
                logical, disk, count = next(waiting)
            taken = min(length, (logical + count) * BLOCK_BYTES - offset)
            yield disk * BLOCK_BYTES + offset - logical * BLOCK_BYTES, taken
            offset += taken
            length -= taken
