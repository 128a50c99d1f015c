"""SnapshotUse: who stands on a snapshot, and what goes with it when it is removed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from firkin.container import layers, record
from firkin.errors import ContainerNotFound, Corrupt, FirkinError, HostUnsupported, InUse
from firkin.events import event
from firkin.paths import Paths
from firkin.snapshot import names
from firkin.snapshot import record as snapshots
from firkin.snapshot.record import Snapshot


def children(paths: Paths, snapshot: Snapshot) -> list[Snapshot]:
    """The snapshots that were made of what stood on it, as far as they can be read."""
    found = snapshots.snapshots(paths, unreadable=lambda _: None)
    return [each for each in found if each.parent == snapshot.id]


def children_first(paths: Paths, texts: Iterable[str]) -> list[str]:
    """These names and ids of snapshots, each before those that it was made upon, unreadable ones last."""
    parents = {each.id: each.parent for each in snapshots.snapshots(paths, unreadable=lambda _: None)}
    naming = names.of(paths)

    def depth(text: str) -> int:
        with suppress(FirkinError):  # told when it is its turn
            above, at = set(), naming.lookup(text)
            while at in parents and at not in above:
                above.add(at)
                at = parents[at]
            return len(above)
        return 0

    return sorted(texts, key=depth, reverse=True)


def containers(paths: Paths, snapshot: Snapshot) -> list[str]:
    """The names of the containers that were started from it, as far as they can be read."""
    found = []
    for each in record.records(paths):
        with suppress(ContainerNotFound, Corrupt):
            spec = each.spec()
            if spec.snapshot == snapshot.id:
                found.append(spec.name)
    return sorted(found)


def remove(paths: Paths, text: str, *, force: bool = False) -> str:
    """Remove the snapshot of that name or id; its name, or its id where it cannot be read.

    Refused while containers that were started from it or snapshots that were made upon it are here: InUse
    names them. With `force` its name and memory go all the same, readable or not: what its disk shares with
    others stays with them, and the snapshots upon it get its parent. Raises SnapshotNotFound, Corrupt.
    """
    snapshot_id = names.of(paths).lookup(text)
    try:
        snapshot = snapshots.load(paths, snapshot_id)
    except (Corrupt, HostUnsupported):
        if not force:
            raise
        snapshots.remove(paths, snapshot_id)
        return snapshot_id
    upon = children(paths, snapshot)
    if not force:
        _check_unused(snapshot, containers(paths, snapshot), upon)
    for child in upon:
        snapshots.reparent(paths, child, snapshot.parent)
    snapshots.remove(paths, snapshot.id, snapshot.name)
    return snapshot.name


def sweep_layers(paths: Paths, *, deadline_s: float = 0.0) -> int:
    """Delete the layers that no container and no snapshot lists; the bytes given back.

    Where that cannot be told now, since somebody is adding or a record cannot be read, the next sweep does.
    """
    try:
        return layers.sweep(paths, lambda: snapshots.listed_layers(paths), deadline_s=deadline_s)
    except (InUse, Corrupt, HostUnsupported) as error:
        event("layers.not_swept", reason=str(error))
        return 0


def _check_unused(snapshot: Snapshot, used: list[str], upon: list[Snapshot]) -> None:
    users = [f"container {name}" for name in used] + [f"snapshot {each.name}" for each in upon]
    if users:
        raise InUse(
            f"snapshot {snapshot.name!r} is stood on by {', '.join(users)}",
            hint="remove them first; --force takes its name and memory away and leaves them what they share",
        )
