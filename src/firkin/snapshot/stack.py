"""Stack: the files of a disk that nobody writes to, whoever's disk it is."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from firkin.container import layers
from firkin.container.record import Record
from firkin.paths import Paths
from firkin.snapshot.record import Snapshot


class Stack(NamedTuple):
    name: str
    """What the disk is called in errors."""
    layers: tuple[Path, ...]
    """qcow2, top first."""
    image: Path
    """Raw, below all of them."""


def of_snapshot(paths: Paths, snapshot: Snapshot) -> Stack:
    """The disk of a snapshot. Raises Corrupt where a layer is missing."""
    image = layers.base_path(paths, snapshot.spec)
    return Stack(f"snapshot {snapshot.name!r}", layers.present(paths, snapshot.layers), image)


def of_container(record: Record) -> Stack:
    """The disk of a container as it is now; the caller sees to it that nothing writes to it.

    Raises ContainerNotFound, Corrupt.
    """
    spec, below = record.spec(), layers.present(record.paths, record.disk().layers)
    top = record.disk_path
    image = layers.base_path(record.paths, spec)
    return Stack(f"container {spec.name!r}", (top, *below) if top.exists() else below, image)


def of_image(paths: Paths, rootfs_key: str, name: str) -> Stack:
    """The disk of image `name` as every container of it begins."""
    return Stack(f"image {name!r}", (), layers.image_path(paths, rootfs_key))
