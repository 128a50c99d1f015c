"""Root: what a container's root file system is, where it is more than a disk above its image."""

from __future__ import annotations

from typing import Literal

import msgspec

Role = Literal["rootfs", "writable_layer"]
_CALLED: dict[Role, str] = {"rootfs": "root file system", "writable_layer": "writable layer"}


class RootFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file or block device of this host with a file system on it, in place of a disk of firkin's.

    From `device` on it is what examined() found there.
    """

    path: str
    role: Role = "rootfs"
    writable: bool = False
    """Whether the container writes to it, and not to a disk of its own above it."""
    device: bool = False
    """Whether it is a block device."""
    size_bytes: int = 0
    mtime_ns: int = 0
    """0 for a device, which has none of its content."""
    head: str = ""
    """SHA-256 of its first 4 KiB: a superblock changes whenever somebody mounts it to write there."""

    @property
    def called(self) -> str:
        return f"{_CALLED[self.role]} {self.path}"


class WritableLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A disk of its own, which takes what is written where the root is only read."""

    size_bytes: int = 0
    file: RootFile | None = None
    """One of the user's; None: one of `size_bytes` that is made with the container and goes with it."""


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for of it."""

    file: RootFile | None = None
    """None: the disk of its image."""
    layer: WritableLayer | None = None
    """None: it writes to the root itself, or to a disk above that, block by block."""

    @property
    def disks(self) -> int:
        """How many its machine has for it: in this order the root, and the layer."""
        return 1 if self.layer is None else 2

    @property
    def in_place(self) -> RootFile | None:
        """The user's file that the container itself writes to; None where that is a disk of its own."""
        if self.layer is not None:
            return self.layer.file
        return self.file if self.file is not None and self.file.writable else None


OF_AN_IMAGE = Root()
