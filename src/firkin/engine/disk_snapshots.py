"""Snapshots of a container's disk, without its memory: taken, and gone back to.

    of a running container    put a new top on record ► hold the guest's writes ► switch the machine to it
                              ► let the guest go on ► commit
    of an ended one           the same on record alone

The rule: a snapshot lists a layer only once nothing writes to it any more. Whatever fails on the way leaves a
container that reads as before, and no snapshot.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import msgspec

from firkin.aio.thread import in_thread
from firkin.container import layers
from firkin.container.disk import DiskRecord
from firkin.container.record import Exited, Record, Suspended
from firkin.engine.deadline import within
from firkin.engine.launch import Launched
from firkin.engine.pod_members import SNAPSHOTS, refuse
from firkin.engine.settled import settled
from firkin.errors import FirkinError, SnapshotNotFound, UsageError, WrongState
from firkin.events import stage
from firkin.snapshot import names
from firkin.snapshot.record import Snapshot, find, load, making
from firkin.store.files import sync_file
from firkin.store.store import Store
from firkin.wire.messages import Freeze, Thaw

_FREEZE_S = 10.0
"""How long the guest may take to write down what it has."""


async def take(record: Record, launched: Launched, name: str = "") -> Snapshot:
    """A snapshot of the disk of the running container of `record`. Its owner's, one at a time.

    The container's writes wait for the moment that the switch takes. Raises NameInUse, UsageError,
    MachineDied, Timeout, AgentError, StorageFull.
    """
    check_name(record, name)
    await synced(record)
    with stage("snapshot.disk", container=record.id), Store(record.paths).adding():
        disk = layers.freeze(record)
        await _switch(record, launched)
        return commit_disk(record, disk, name)


async def take_of_ended(record: Record, name: str = "") -> Snapshot:
    """A snapshot of the disk of a container that has ended. Raises WrongState where it has not, as take()."""
    check_name(record, name)
    await settled(record)
    await synced(record)
    with record.own(), Store(record.paths).adding():
        require_ended(record)
        with stage("snapshot.disk", container=record.id):
            return commit_disk(record, layers.freeze(record), name)


async def roll_back(record: Record, name: str, *, discard: bool = False) -> Snapshot | None:
    """Let the disk of an ended container be that of the snapshot `name` again.

    What it is now becomes a snapshot of its own, which is returned, unless `discard` gives it up. Raises
    WrongState where it has not ended, SnapshotNotFound, UsageError for a disk of another image or size.
    """
    refuse(record.spec(), SNAPSHOTS)
    await settled(record)
    with record.own(), Store(record.paths).adding():
        snapshot = find(record.paths, name)
        require_ended(record)
        _check_same_disk(record, snapshot)
        with stage("snapshot.rollback", container=record.id, snapshot=snapshot.id):
            kept = None if discard else commit_disk(record, layers.freeze(record), "")
            layers.reset(record, snapshot.layers, snapshot.id)
            return kept


def commit_disk(record: Record, disk: DiskRecord, name: str) -> Snapshot:
    """Put a snapshot that has the layers of `disk` and no memory on record."""
    with making(record.paths) as made:
        snapshot = made.commit(draft(record, disk), name=name)
    stand_on(record, disk, snapshot)
    return snapshot


def draft(record: Record, disk: DiskRecord) -> Snapshot:
    """What is known of a snapshot of `record` before it has a name, without memory."""
    spec = record.spec()
    return Snapshot(
        id="",
        name="",
        created_ns=time.time_ns(),
        container=spec.id,
        container_name=spec.name,
        parent=_known(record, disk.parent),
        spec=spec,
        layers=disk.layers,
    )


def stand_on(record: Record, disk: DiskRecord, snapshot: Snapshot) -> None:
    """Note on the container whose disk is `disk` that `snapshot` was made of it."""
    record.set_disk(msgspec.structs.replace(disk, parent=snapshot.id))


def check_name(record: Record, name: str) -> None:
    """Refuse a bad or taken name before anything is done for it. Raises UsageError, NameInUse."""
    if name:
        naming = names.of(record.paths)
        naming.check_free(naming.validate(name))


def check_way_back(record: Record, name: str, *, force: bool) -> None:
    """Refuse before a running container is stopped for it what would fail afterwards; raises as roll_back().

    Without `force` it may not be stopped.
    """
    spec = record.spec()
    _check_same_disk(record, find(record.paths, name))
    if spec.auto_remove:
        raise WrongState(
            f"container {spec.name!r} is removed when it ends", hint="only one without --rm has a way back"
        )
    if not force:
        raise WrongState(
            f"container {spec.name!r} is running",
            hint="stop it first; --force stops it, and starts it again afterwards",
        )


def require_ended(record: Record) -> None:
    """Raise WrongState unless the container has ended; its owner asks."""
    state, name = record.state(), record.spec().name
    if isinstance(state, Suspended):
        raise WrongState(f"container {name!r} is suspended", hint=f"`firkin resume {name}`")
    if not isinstance(state, Exited) or record.is_alive():
        raise WrongState(f"container {name!r} has not ended", hint=f"`firkin stop {name}`")


async def synced(record: Record) -> None:
    """Put on the disk what the container wrote so far, so that freezing it later takes no time."""
    if record.disk_path.exists():
        await in_thread(partial(sync_file, record.disk_path))


async def _switch(record: Record, launched: Launched) -> None:
    """Let the machine write to the new top, with nothing of the guest's half written below it."""
    await launched.vm.monitor()  # to be connected takes longer than all that the guest waits for
    async with frozen(record, launched):
        await launched.vm.switch_overlay(record.disk_path)


@asynccontextmanager
async def frozen(record: Record, launched: Launched) -> AsyncIterator[None]:
    """All that the running container of `record` wrote is on its disk, and its writes wait for the block's
    end. Raises Timeout, MachineDied, AgentError.
    """
    machine, client = launched.vm, launched.client
    try:
        async with within(_FREEZE_S, f"freezing the file system of machine {machine.name!r}"):
            await client.request(Freeze(container=record.id))
        yield
    finally:
        with suppress(FirkinError, TimeoutError):
            async with within(_FREEZE_S, f"the agent of machine {machine.name!r}"):
                await client.request(Thaw(container=record.id))


def _known(record: Record, snapshot_id: str) -> str:
    """`snapshot_id`, unless that snapshot is gone."""
    with suppress(SnapshotNotFound):
        return load(record.paths, snapshot_id).id if snapshot_id else ""
    return ""


def _check_same_disk(record: Record, snapshot: Snapshot) -> None:
    ours, theirs = record.spec(), snapshot.spec
    mine = (ours.rootfs_key, ours.root, ours.disk_bytes)
    if mine != (theirs.rootfs_key, theirs.root, theirs.disk_bytes):
        raise UsageError(
            f"snapshot {snapshot.name!r} is of image {theirs.image} on {theirs.disk_bytes} bytes of disk, "
            f"container {ours.name!r} of {ours.image} on {ours.disk_bytes}",
            hint=f"`firkin snapshot restore {snapshot.name}` makes a container of it",
        )
