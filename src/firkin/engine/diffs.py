"""Diffs by name: what a person compares, found on disk and told as snapshot.diff tells it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from firkin.container import record as containers
from firkin.container.record import Record
from firkin.errors import InUse, SnapshotNotFound, WrongState
from firkin.paths import Paths
from firkin.snapshot import record as snapshots
from firkin.snapshot import stack
from firkin.snapshot.diff import Change, changes
from firkin.snapshot.record import Snapshot
from firkin.snapshot.stack import Stack

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


@contextmanager
def of_container(paths: Paths, name: str) -> Iterator[Iterator[Change]]:
    """What changed in container `name` since its image; it cannot be started within the block.

    Raises WrongState where it runs, ContainerNotFound, UsageError, Corrupt.
    """
    record = containers.find(paths, name)
    with _standing_still(record):
        spec = record.spec()
        yield _changes(stack.of_image(paths, spec.rootfs_key, spec.image), stack.of_container(record))


def _before(paths: Paths, snapshot: Snapshot) -> Stack:
    if snapshot.parent:
        with suppress(SnapshotNotFound):
            return stack.of_snapshot(paths, snapshots.load(paths, snapshot.parent))
    return stack.of_image(paths, snapshot.spec.rootfs_key, snapshot.spec.image)


@contextmanager
def _standing_still(record: Record) -> Iterator[None]:
    name = record.spec().name
    try:
        lock = record.own()
    except InUse as error:
        raise _running(name) from error
    with lock:
        if record.is_alive():
            raise _running(name)
        yield


def _running(name: str) -> WrongState:
    return WrongState(
        f"container {name!r} is running, and its disk changes while it is read",
        hint=f"stop it, or `firkin snapshot create --disk-only {name}` and `firkin snapshot diff` that",
    )


def _changes(old: Stack, new: Stack) -> Iterator[Change]:
    return changes(old, new, apart_from=OURS)
