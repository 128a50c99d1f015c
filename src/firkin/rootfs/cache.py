"""Cache: a disk that is there, at once, or a new one; what builds is imported only for that."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from firkin.errors import HostUnsupported, StorageFull
from firkin.oci.image import Layer
from firkin.rootfs.record import OpenBlob, Rootfs, find, key_of

__all__ = ["OpenBlob", "Rootfs", "build", "find", "key_of"]


def build(layers: Sequence[Layer], *, open_blob: OpenBlob, rootfs_dir: Path, size_bytes: int) -> Rootfs:
    """The disk of `layers`, bottom first, with a file system of `size_bytes`; built when it is not there.

    Heavy and synchronous. Of two builders of one key, the second waits for the first. Raises Corrupt,
    DigestMismatch or UnsupportedMediaType for bad layers, StorageFull when the image does not fit the disk,
    or the disk the host, UsageError for an impossible size; nothing is kept then.
    """
    key = key_of(layers, size_bytes)
    if (found := find(rootfs_dir, key)) is not None:
        return found
    from firkin.rootfs.builder import build_missing

    try:
        return build_missing(key, layers, open_blob, rootfs_dir, size_bytes)
    except OSError as error:
        raise explained(error, rootfs_dir) from error


def explained(error: OSError, rootfs_dir: Path) -> HostUnsupported:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(
            f"no space left for a root file system in {rootfs_dir}", hint="free some space there"
        )
    return HostUnsupported(
        f"cannot build a root file system in {rootfs_dir}: {error}", hint="check its owner and mode"
    )
