"""Record: the disks that were built, by key, and what is written down about each.

    rootfs/
      lock                      see rootfs.lock
      <key>/                    appears whole, by rename; image.ext4 and rootfs.json never change after that
      .build-<key>/             a disk in the making, by whoever holds the key's lock; else it is garbage

A crash at any line leaves a `.build-` directory, which the next build that finds its lock free removes. The
image is on the disk (fsync) before its directory gets its name, so not even a power cut leaves a disk that
looks finished and is not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from firkin.decoder import json_decoder
from firkin.oci.digest import Digest
from firkin.oci.image import Layer, chain_id

WRITER_VERSION = 1
"""Goes up whenever the same layers would give other bytes: what an older writer built is then built anew."""

OpenBlob = Callable[[Digest], BinaryIO]
"""Opens a stored blob for reading, verified already; whoever calls it closes it."""


class Rootfs(msgspec.Struct, frozen=True):
    """A finished disk: a sparse, read-only ext4 image that is shared by all who run it."""

    key: str
    image_path: Path
    size_bytes: int


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """rootfs.json. Sizes in bytes; `digests` are the layers' blobs, `names` counts what the tree holds."""

    key: str
    chain_id: str
    digests: tuple[str, ...]
    writer_version: int
    size_bytes: int
    names: int


def key_of(layers: Sequence[Layer], size_bytes: int) -> str:
    """<chain id>-<size>-<writer version>: the name of the disk that `layers` make."""
    return f"{chain_id(layer.diff_id for layer in layers).hex}-{size_bytes}-{WRITER_VERSION}"


def find(rootfs_dir: Path, key: str) -> Rootfs | None:
    """The disk of `key`, when it is there and whole."""
    directory = rootfs_dir / key
    try:
        record = json_decoder(Record).decode((directory / "rootfs.json").read_bytes())
        stat = os.stat(directory / "image.ext4")
    except (OSError, msgspec.DecodeError):
        return None
    if record.key != key or record.writer_version != WRITER_VERSION or stat.st_size != record.size_bytes:
        return None
    return Rootfs(key, directory / "image.ext4", record.size_bytes)
