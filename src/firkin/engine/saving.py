"""Saving: a running container's machine becomes files, from which its processes go on.

    hold ► the machine stands still, is saved, goes on ► release

The rule: none of its programs runs from the hold on, so nothing that goes on from the files runs before it
has the time and randomness of its own; and its host is silent meanwhile: the wire has no half frame in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import msgspec

from firkin.aio.thread import in_thread
from firkin.container.layers import ready
from firkin.container.record import Record, Streams
from firkin.container.spec import ContainerSpec
from firkin.engine.launch import Launched, machine_spec
from firkin.errors import UsageError
from firkin.events import event
from firkin.machine.save import save
from firkin.machine.saved import Saved, keep
from firkin.machine.start import prepare
from firkin.settings import Settings
from firkin.store.files import disk_errors
from firkin.wire.messages import Hold, Release


class Source(msgspec.Struct, frozen=True):
    """A running container as its owner has it. `recorded` tells how much of its output is written down now,
    by the agent's count.
    """

    record: Record
    launched: Launched
    settings: Settings
    recorded: Callable[[], Streams]


def check_saveable(spec: ContainerSpec) -> None:
    """Raise UsageError for a container whose memory cannot be kept."""
    if reason := spec.knobs.why_unsaveable:
        raise UsageError(
            f"the memory of container {spec.name!r} cannot be kept: {reason}",
            hint="keep its disk alone: firkin snapshot create --disk-only",
        )
    sources = [bind.source for bind in spec.binds] + [each.path for each in spec.storage.directories]
    if spec.root.layer is not None:
        raise UsageError(
            f"the memory of container {spec.name!r} cannot be kept: what it knows of its writable layer "
            "holds only while nothing is written there",
            hint="without --writable-layer it has a disk of its own above its root",
        )
    if spec.storage.devices:
        raise UsageError(
            f"the memory of container {spec.name!r} cannot be kept: it has {spec.storage.devices[0].called} "
            "of this host, which others may write to meanwhile",
            hint="keep its disk alone: firkin snapshot create --disk-only",
        )
    if (own := spec.root.in_place) is not None:
        raise UsageError(
            f"the memory of container {spec.name!r} cannot be kept: what it knows of {own.called} holds only "
            "while nobody else writes there",
            hint="without :rw it has a disk of its own above that",
        )
    if sources:
        shared = ", ".join(sources)
        raise UsageError(
            f"the memory of container {spec.name!r} cannot be kept: it shares {shared} with this host, and "
            "what serves that has a state of its own",
            hint="keep its disk alone: firkin snapshot create --disk-only",
        )


def check_copyable(spec: ContainerSpec) -> None:
    """Raise UsageError for a container whose memory nobody else can go on from, now or later."""
    check_saveable(spec)
    if spec.storage.disks:
        names = ", ".join(each.name for each in spec.storage.disks)
        raise UsageError(
            f"the memory of container {spec.name!r} cannot be kept for others: what it knows of the "
            f"disk of volume {names} holds only while nobody else writes there",
            hint="keep its disk alone: firkin snapshot create --disk-only",
        )


async def write(
    source: Source,
    dir: Path,
    standing_still: Callable[[], Awaitable[None]] | None = None,
    *,
    stop: bool = False,
) -> Saved:
    """Write memory, state and saved.json of its machine to `dir`; it goes on afterwards, unless `stop`.

    `standing_still` is awaited while nothing in the guest runs. Raises UsageError, StorageFull, MachineError,
    MachineDied, Timeout, HostUnsupported; then the machine goes on.
    """
    record, machine, settings = source.record, source.launched.vm, source.settings
    spec = record.spec()
    check_saveable(spec)
    wanted = machine_spec(spec, ready(record), settings, cards=machine.cards)
    prepared = await prepare(wanted, settings)
    described = await in_thread(partial(prepared.describe, wanted))
    with disk_errors(dir):
        cost = await save(
            machine,
            wanted,
            settings,
            dir,
            silence=partial(source.launched.client.quiet, (Hold(),), after=(Release(),)),
            standing_still=standing_still,
            stop=stop,
        )
        event("machine.saved", machine=spec.name, took_s=cost.took_s, paused_s=cost.paused_s)
        return keep(dir, described)
