"""A Disk: what a guest would read, from qcow2 layers over a raw image, without starting QEMU.

Who lies on whom is what the caller says; what the files say about it is not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from firkin.machine.qcow2_file import DiskFile
from firkin.machine.qcow2_layer import Layer


class Disk:
    """`size_bytes` that can be read, and the `layers` they come from, top first. From `Disk.open`."""

    def __init__(self, layers: Sequence[Layer], base: DiskFile) -> None:
        self.layers, self._base = tuple(layers), base
        self.size_bytes = self.layers[0].size_bytes if self.layers else base.size_bytes

    @classmethod
    @contextmanager
    def open(cls, layers: Sequence[Path], base: Path) -> Iterator[Disk]:
        """The disk of `layers`, top first, over the raw image `base`; nobody may write to them meanwhile.

        Raises Corrupt where a file is not what a VMM of ours writes, HostUnsupported where one cannot be
        read; reads within the block raise the same.
        """
        with ExitStack() as opened:
            chain = [opened.enter_context(Layer(path)) for path in layers]
            yield cls(chain, opened.enter_context(DiskFile(base)))

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on. Raises ValueError for bytes that the disk does not have."""
        if offset < 0 or size < 0 or offset + size > self.size_bytes:
            raise ValueError(f"{size} bytes at {offset} of a disk of {self.size_bytes}")
        found: dict[int, bytes] = {}
        missing = [(offset, size)]
        for layer in self.layers:
            missing = [gap for at, length in missing for gap in layer.fill(at, length, found)]
        for at, length in missing:
            found[at] = self._base.read(at, length)
        return found[offset] if len(found) == 1 else b"".join(found[at] for at in sorted(found))
