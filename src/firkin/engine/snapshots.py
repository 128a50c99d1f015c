"""Snapshots of running containers, with their memory: kept under a name, or lent to forks for a while.

    the layers on record ► its memory copied while it runs ► it stands still: the last pages, the devices, the
    switch of its disk to the new top ► it goes on ► commit

The rule: it goes on whatever fails, on the disk that is on record; a snapshot is listed only once all of it
is on the disk.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import msgspec

from firkin.aio.thread import in_thread
from firkin.container import layers
from firkin.container.disk import DiskRecord
from firkin.container.record import Streams
from firkin.engine.deadline import within
from firkin.engine.disk_snapshots import check_name, draft, stand_on, synced
from firkin.engine.launch import Launched
from firkin.engine.saving import Source, check_copyable, write
from firkin.errors import FirkinError
from firkin.events import stage
from firkin.snapshot.record import Making, Snapshot, making
from firkin.store.files import disk_errors, sync_file
from firkin.store.store import Store
from firkin.wire.messages import Sync

_SYNC_S = 10.0
"""How long the guest may take to write down what it has."""


class Taken(msgspec.Struct, frozen=True):
    """A snapshot that is being made and has everything but a name."""

    made: Making
    snapshot: Snapshot
    disk: DiskRecord


async def take(source: Source, name: str = "") -> Snapshot:
    """A snapshot of a running container, memory and all. Its owner's, one at a time.

    Raises NameInUse, and what saving.write() raises; then it goes on as it was and there is no snapshot.
    """
    check_name(source.record, name)
    check_copyable(source.record.spec())
    with stage("snapshot.take", container=source.record.id):
        await _written_down(source.launched)
        async with _taken(source) as taken:
            snapshot = await in_thread(partial(_commit, taken, name))
            stand_on(source.record, taken.disk, snapshot)
            return snapshot


@asynccontextmanager
async def lend(source: Source) -> AsyncIterator[Snapshot]:
    """A snapshot that nobody sees, for containers to start from while the block runs. Raises as take()."""
    async with _taken(source) as taken:
        yield taken.made.lend(taken.snapshot)


@asynccontextmanager
async def _taken(source: Source) -> AsyncIterator[Taken]:
    """The container as it is now; what is made of it goes with the block, unless it is committed there."""
    record = source.record
    check_copyable(record.spec())
    await synced(record)
    with Store(record.paths).adding(), making(record.paths) as made:
        disk = layers.freeze(record)
        yield Taken(made, await _filled(made, source, disk), disk)


async def _written_down(launched: Launched) -> None:
    """Let the guest write down what it has, so that the disk is of use without the memory, too."""
    with suppress(FirkinError, TimeoutError):
        async with within(_SYNC_S, f"the agent of machine {launched.machine.name!r}"):
            await launched.client.request(Sync())


async def _filled(made: Making, source: Source, disk: DiskRecord) -> Snapshot:
    """Write the machine to the directory of `made`; from then on it writes to the new top of its disk."""
    record, launched = source.record, source.launched
    streams, switched = Streams(), False

    async def standing_still() -> None:
        nonlocal streams, switched
        await launched.vm.switch_overlay(record.disk_path)
        switched, streams = True, source.recorded()

    try:
        saved = await write(source, made.dir, standing_still)
    finally:
        if not switched:
            with suppress(FirkinError, OSError):  # its machine is gone
                await launched.vm.switch_overlay(record.disk_path)
    return msgspec.structs.replace(
        draft(record, disk), proc=launched.process.proc, streams=streams, machine=saved.machine
    )


def _commit(taken: Taken, name: str) -> Snapshot:
    """Put it on record once all that it stands on is on the disk."""
    path = taken.made.paths.layer_path(taken.disk.layers[0])
    with disk_errors(path):
        sync_file(path)
    return taken.made.commit(taken.snapshot, name=name)
