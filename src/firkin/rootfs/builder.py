"""Build: layers to one disk, in a directory that appears when all of it is verified and written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from firkin.events import stage
from firkin.ext4 import Identity, Layout, Space, write_metadata
from firkin.linux.removal import remove_tree
from firkin.oci.image import Layer
from firkin.rootfs.apply import apply
from firkin.rootfs.content import ContentWriter
from firkin.rootfs.disk import DiskWriter, clear
from firkin.rootfs.lock import locked, locked_if_free
from firkin.rootfs.record import WRITER_VERSION, OpenBlob, Record, Rootfs, find
from firkin.rootfs.tree import Tree

PREFIX = ".build-"
_NAMES_PER_INODE = 2


def build_missing(
    key: str, layers: Sequence[Layer], open_blob: OpenBlob, rootfs_dir: Path, size_bytes: int
) -> Rootfs:
    """Build the disk of `key` unless somebody did meanwhile. Raises as cache.build does, and OSError."""
    layout = Layout.for_size(size_bytes)
    rootfs_dir.mkdir(parents=True, exist_ok=True)
    tidy(rootfs_dir)
    with locked(rootfs_dir, key):
        if (found := find(rootfs_dir, key)) is not None:
            return found
        building = rootfs_dir / (PREFIX + key)
        remove_tree(building)
        remove_tree(rootfs_dir / key)  # there, but not whole: find() would have returned it
        building.mkdir()
        try:
            with stage("rootfs", key=key):
                names = _build_image(building / "image.ext4", key, layers, open_blob, layout, size_bytes)
                record = _record(key, layers, size_bytes, names)
                write_synced(building / "rootfs.json", msgspec.json.format(msgspec.json.encode(record)))
                sync_directory(building)
                building.rename(rootfs_dir / key)
                sync_directory(rootfs_dir)
        finally:
            remove_tree(building)
    return Rootfs(key, rootfs_dir / key / "image.ext4", size_bytes)


def tidy(rootfs_dir: Path) -> None:
    """Remove what dead builders left. Raises OSError."""
    for leftover in rootfs_dir.glob(PREFIX + "*"):
        with locked_if_free(rootfs_dir, leftover.name.removeprefix(PREFIX)) as free:
            if free:
                remove_tree(leftover)


def _record(key: str, layers: Sequence[Layer], size_bytes: int, names: int) -> Record:
    return Record(
        key=key,
        chain_id="sha256:" + key.partition("-")[0],
        digests=tuple(str(layer.digest) for layer in layers),
        writer_version=WRITER_VERSION,
        size_bytes=size_bytes,
        names=names,
    )


def _build_image(
    path: Path, key: str, layers: Sequence[Layer], open_blob: OpenBlob, layout: Layout, size_bytes: int
) -> int:
    """Write the image, synced and read-only, to `path`; how many names it holds."""
    tree = Tree(_NAMES_PER_INODE * layout.inodes)
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(fd, size_bytes)
        space = Space(layout)
        with DiskWriter(fd) as disk:
            content = ContentWriter(space, disk)
            apply(layers, open_blob, tree, content, size_bytes)
            freed = write_metadata(tree.root, space, _identity(key), disk.put, content.files)
            disk.finish()
        clear(fd, freed)
        os.fchmod(fd, 0o444)
        os.fsync(fd)
    finally:
        os.close(fd)
    return tree.names


def _identity(key: str) -> Identity:
    """Unlike for unlike disks, and always the same for the same one. The UUID is of version 8, "custom"."""
    digest = bytearray(hashlib.sha256(key.encode()).digest())
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return Identity(bytes(digest[:16]), bytes(digest[16:]))


def write_synced(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
