"""SnapshotSummary: one line of `firkin snapshot ls`, and what `inspect` says beside it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from firkin.container import layers
from firkin.engine import snapshot_use
from firkin.engine.timestamp import timestamp
from firkin.errors import FirkinError
from firkin.machine.saved import MEMORY
from firkin.paths import Paths
from firkin.process.raw import shown
from firkin.snapshot.record import Snapshot, snapshots
from firkin.store.sweep import disk_bytes

Kind = Literal["full", "disk"]


class SnapshotSummary(msgspec.Struct, frozen=True):
    """A snapshot, and what it takes on the disk now. Its layers may be shared with others."""

    snapshot: Snapshot
    memory_bytes: int
    layers_bytes: int

    @property
    def kind(self) -> Kind:
        """`full` with memory, `disk` without."""
        return "disk" if self.snapshot.machine is None else "full"


def summaries(paths: Paths) -> tuple[list[SnapshotSummary], list[FirkinError]]:
    """All snapshots, the newest first, and why those that cannot be read cannot."""
    problems: list[FirkinError] = []
    return [summary(paths, each) for each in snapshots(paths, unreadable=problems.append)], problems


def summary(paths: Paths, snapshot: Snapshot) -> SnapshotSummary:
    """What `snapshot` takes. A layer that is missing takes nothing."""
    memory = paths.snapshot_dir(snapshot.id) / MEMORY
    files = map(paths.layer_path, snapshot.layers)
    return SnapshotSummary(snapshot, disk_bytes(memory), sum(map(disk_bytes, files)))


def facts(paths: Paths, snapshot: Snapshot) -> dict[str, Any]:
    """Everything that is known of it, ready for JSON."""
    taken = summary(paths, snapshot)
    machine = snapshot.machine
    return {
        "Id": snapshot.id,
        "Name": snapshot.name,
        "Created": timestamp(snapshot.created_ns),
        "Kind": taken.kind,
        "Container": snapshot.container,
        "ContainerName": snapshot.container_name,
        "Parent": snapshot.parent,
        "Image": snapshot.spec.image,
        "ImageDigest": snapshot.spec.image_digest,
        "Cmd": [shown(word) for word in snapshot.spec.process.args],
        "Machine": None if machine is None else msgspec.to_builtins(machine),
        "MemoryBytes": taken.memory_bytes,
        "DiskBytes": taken.layers_bytes,
        "Layers": [str(path) for path in map(paths.layer_path, snapshot.layers)],
        "RootFS": str(layers.base_path(paths, snapshot.spec)),
        "Dir": str(paths.snapshot_dir(snapshot.id)),
        "Containers": snapshot_use.containers(paths, snapshot),
        "Children": [each.name for each in snapshot_use.children(paths, snapshot)],
    }
