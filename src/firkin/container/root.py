"""Root: what a container's root file system is, where it is more than a disk above its image."""

from __future__ import annotations

import msgspec


class RootFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file or block device of this host with a file system on it, in place of an image's disk.

    From `device` on it is what examined() found there.
    """

    path: str
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
        return f"root file system {self.path}"


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for of it."""

    file: RootFile | None = None
    """None: the disk of its image."""

    @property
    def in_place(self) -> RootFile | None:
        """The file that the container itself writes to; None where that is a disk of its own."""
        return self.file if self.file is not None and self.file.writable else None


OF_AN_IMAGE = Root()
