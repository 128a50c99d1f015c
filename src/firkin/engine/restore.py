"""Restore: from what was saved to a container whose processes go on.

    boot      the saved machine, on the container's own disk
    rebirth   SYNC and one batch: clock, entropy, and its programs may run; identity, network; then the first
              process is taken over

The rule: what the log of another container holds is never written down again, and what its agent has not been
told to be written down always is.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from firkin.container.record import Record, Streams
from firkin.container.spec import ContainerSpec
from firkin.engine import batch
from firkin.engine.launch import Launched, answered, booted, connected, shared_sockets, take_over
from firkin.engine.retries import retried
from firkin.engine.transcript import Transcript
from firkin.machine.saved import Saved, load
from firkin.machine.start import Lifetime
from firkin.network.guest import guest_network
from firkin.paths import Paths
from firkin.settings import Settings
from firkin.snapshot import record as snapshots
from firkin.snapshot.record import Snapshot
from firkin.wire.messages import Op, Release


class Origin(msgspec.Struct, frozen=True):
    """What a container goes on from."""

    saved: Saved
    container: str
    """The id by which the agent knows it."""
    proc: int
    counted: Streams
    """How much of its output was written down, by the agent's count, where the log of this one begins."""


def of_snapshot(paths: Paths, spec: ContainerSpec) -> Origin | None:
    """What a new container of `spec` goes on from; None where it begins anew.

    Raises SnapshotNotFound, Corrupt.
    """
    if not spec.snapshot or spec.cold:
        return None
    snapshot = snapshots.load(paths, spec.snapshot)
    if snapshot.machine is None:
        return None
    saved = msgspec.structs.replace(
        load(snapshots.home(paths, snapshot.id)), name=_called(snapshot), otherwise=_otherwise(snapshot)
    )
    return Origin(saved, snapshot.container, snapshot.proc, snapshot.streams)


def _called(snapshot: Snapshot) -> str:
    """What a person knows it by. One that is lent has no name."""
    return f"snapshot {snapshot.name!r}" if snapshot.name else f"a fork of {snapshot.container_name!r}"


def _otherwise(snapshot: Snapshot) -> str:
    if not snapshot.name:
        return f"`firkin snapshot create --disk-only {snapshot.container_name}`, and restore that"
    return f"`firkin snapshot restore --or-boot {snapshot.name}` begins anew on its disk"


@asynccontextmanager
async def restore(
    record: Record,
    spec: ContainerSpec,
    origin: Origin,
    transcript: Transcript,
    booting: Callable[[], object],
    *,
    settings: Settings,
    lifetime: Lifetime,
) -> AsyncIterator[Launched]:
    """The container of `record`, whose processes go on from `origin`.

    As launch(), tries among it; raises Misfit, too, where what was saved cannot run here.
    """

    async def attempt(stack: AsyncExitStack, _: int) -> Launched:
        sockets = shared_sockets(stack, spec, spec.relayed_ports)
        machine = await booted(stack, record, spec, settings, lifetime, origin.saved)
        client, cords = await connected(stack, record, spec, machine)
        answer = asyncio.create_task(client.start(_rebirth(spec, origin), resume=True, whole=True))
        await asyncio.sleep(0)  # it is sent; now the machine has to wake
        booting()
        await answered(machine, client, answer)
        process = take_over(client, origin.proc, transcript, origin.counted)
        if sockets is not None:
            await stack.enter_async_context(sockets.serving(client))
            await sockets.appear()
        return Launched(machine, client, process, origin.counted, sockets, cords)

    async with AsyncExitStack() as stack:
        yield await retried(stack, spec.name, attempt)


def _rebirth(spec: ContainerSpec, origin: Origin) -> tuple[Op, ...]:
    """What the agent is told first. The container that was saved needs no other identity than it has.

    Its programs are held (engine.saving) until they may see the time. What comes after that may have to wait
    for the guest's kernel, whose threads are held with them.
    """
    prologue = (*batch.prologue(time.time_ns(), os.urandom(batch.SEED_BYTES)), Release())
    if spec.id == origin.container:
        return prologue
    guest = guest_network(spec.network, spec.forwarded_ports)
    return (*prologue, *batch.identity_ops(spec, guest, origin.container))
