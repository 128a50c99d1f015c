"""Diffs by name: what a person compares, found on disk and told as snapshot.diff tells it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from firkin.aio.thread import in_thread
from firkin.container.record import Record
from firkin.engine.container import Container
from firkin.engine.overlaid import is_overlaid, written
from firkin.engine.root_rules import check_of_an_image
from firkin.errors import SnapshotNotFound
from firkin.paths import Paths
from firkin.settings import Settings
from firkin.snapshot import record as snapshots
from firkin.snapshot import stack
from firkin.snapshot.diff import Change, changes
from firkin.snapshot.record import Snapshot
from firkin.snapshot.stack import Stack
from firkin.snapshot.upper import upper_changes

OURS = ("/dev", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/proc", "/sys")
"""What every container gets from firkin, in Docker as here: no change of its own."""


def of_snapshots(paths: Paths, old: str, new: str) -> Iterator[Change]:
    """What changed from snapshot `old` to snapshot `new`. Raises SnapshotNotFound, UsageError, Corrupt."""
    one, other = snapshots.find(paths, old), snapshots.find(paths, new)
    return _changes(stack.of_snapshot(paths, one), stack.of_snapshot(paths, other))


def of_snapshot(paths: Paths, name: str) -> Iterator[Change]:
    """What changed in snapshot `name` since the one before it, or since its image where there is none.

    Raises SnapshotNotFound, UsageError, Corrupt.
    """
    snapshot = snapshots.find(paths, name)
    return _changes(_before(paths, snapshot), stack.of_snapshot(paths, snapshot))


async def of_container(settings: Settings, container: Container) -> list[Change]:
    """What changed in a container since its image. The writes of a running one wait meanwhile, unless it is
    overlaid.

    Raises WrongState while it starts, Timeout where that would take too long, ContainerNotFound, Corrupt; of
    one that is overlaid as trees_of().
    """
    spec, paths = container.spec, settings.paths
    record = Record(paths, container.id)
    if spec.isolation == "namespace":
        from firkin.engine.namespace_shape import lower_of
        from firkin.snapshot import tree_compare

        async with container.still():
            tree = tree_compare.changes(record, lower_of(paths, spec), OURS)
            return await in_thread(partial(list, tree))
    check_of_an_image(spec, "no image to compare with")
    if is_overlaid(spec):
        return await written(container, settings, partial(upper_changes, apart_from=OURS))
    image = stack.of_image(paths, spec.rootfs_key, spec.image)
    async with container.still():
        found = _changes(image, stack.of_container(record))
        return await in_thread(partial(list, found))


def _before(paths: Paths, snapshot: Snapshot) -> Stack:
    if snapshot.parent:
        with suppress(SnapshotNotFound):
            return stack.of_snapshot(paths, snapshots.load(paths, snapshot.parent))
    check_of_an_image(snapshot.spec, "no image to compare with")
    return stack.of_image(paths, snapshot.spec.rootfs_key, snapshot.spec.image)


def _changes(old: Stack, new: Stack) -> Iterator[Change]:
    return changes(old, new, apart_from=OURS)
