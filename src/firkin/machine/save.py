"""Saving: a machine's memory and state as files, from which others can be started.

A machine whose memory is a file already (a template's) only writes its state. Any other is migrated into a
mirror, which receives the memory into a file while the guest runs on, and then writes its own state. The
guest stands still only while the last pages, the devices and the disk are taken over.

The rule: whatever fails, or is cancelled, the guest goes on as it was.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from qemu.qmp import EventListener

from firkin.aio.finish import finish
from firkin.errors import FirkinError, MachineError, StorageFull
from firkin.machine.mirror import mirror
from firkin.machine.qemu.machine import Machine
from firkin.machine.qemu.migration import (
    IGNORE_SHARED,
    PAUSE_BEFORE_SWITCHOVER,
    Migration,
    give_up,
    go_on,
    migration,
    runs,
)
from firkin.machine.saved import MAX_STATE_BYTES, STATE
from firkin.machine.spec import MachineSpec
from firkin.settings import Settings

_STATE_DEADLINE_S = 30.0
_SWITCH_DEADLINE_S = 60.0
_MEMORY_DEADLINE_S = 600.0
_PATIENCE_S, _PATIENCE_BYTES_S = 1.0, 256 << 20
"""How long a guest may write faster than it is copied, and that much more for its memory; then it stands
still for the rest."""

StandingStill = Callable[[], Awaitable[None]]


class Saving(msgspec.Struct, frozen=True):
    """What a save cost: the whole of it, and how long the guest stood still, in seconds."""

    took_s: float
    paused_s: float


async def write_state(machine: Machine, dir: Path) -> None:
    """Write the state of a machine whose memory is a file. It stands still then, and must not run again.

    Raises MachineError, MachineDied, StorageFull, Timeout, OSError.
    """
    fd = os.open(dir / STATE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        async with migration(machine, (IGNORE_SHARED,)) as leaving:
            await leaving.send(fd)
            await leaving.reaches("completed", _STATE_DEADLINE_S)
    except MachineError as error:
        if _room(dir) < MAX_STATE_BYTES:
            raise StorageFull(
                f"no space left on the disk of {dir} for the state of machine {machine.name!r}",
                hint="free some space: firkin snapshot rm, firkin rmi, firkin prune",
            ) from error
        raise
    finally:
        os.close(fd)


async def save(
    machine: Machine,
    spec: MachineSpec,
    settings: Settings,
    dir: Path,
    *,
    standing_still: StandingStill | None = None,
    stop: bool = False,
) -> Saving:
    """Write memory and state of `machine`, which is of `spec`, to `dir`. It goes on as it was, unless `stop`.

    `standing_still` is awaited while the guest stands still: the moment to take its disk. A guest that was
    paused before stays so. Raises MachineError, MachineDied, StorageFull, Timeout, HostUnsupported, OSError,
    and whatever `standing_still` raises; then, and when this is cancelled, `machine` goes on, and `dir` holds
    nothing whole.
    """
    begin = time.monotonic()
    async with mirror(machine, spec, settings, dir) as twin:
        client = await machine.monitor()
        ran = await runs(machine)
        with client.listener(names=("STOP", "RESUME")) as stops:
            try:
                await _copy(machine, spec, twin, standing_still)
                if not ran or stop:
                    paused_s = 0.0
                else:
                    await go_on(machine)
                    paused_s = await _stood_still_s(stops)
                await write_state(twin, dir)
            except BaseException as error:
                await finish(_recover(machine, ran, error))
                raise
    return Saving(time.monotonic() - begin, paused_s)


async def recover(machine: Machine) -> None:
    """Let a machine go on whose owner died while it was saved: it may stand still. Raises MachineDied,
    AgentError, Timeout.
    """
    await give_up(machine)
    await go_on(machine)


async def _copy(
    machine: Machine, spec: MachineSpec, twin: Machine, standing_still: StandingStill | None
) -> None:
    """Migrate the machine into its mirror; both stand still then."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        async with (
            migration(machine, (PAUSE_BEFORE_SWITCHOVER,)) as leaving,
            migration(twin, ()) as arriving,
        ):
            await arriving.receive(theirs.fileno())
            await leaving.send(ours.fileno())
            for end in (ours, theirs):
                end.close()  # who reads must hear of it when who writes ends, and the other way round
            await _nearly_all(machine, spec, leaving)
            if standing_still is not None:
                await standing_still()
            await leaving.proceed()
            await leaving.reaches("completed", _SWITCH_DEADLINE_S)
            await arriving.reaches("completed", _SWITCH_DEADLINE_S)


async def _nearly_all(machine: Machine, spec: MachineSpec, leaving: Migration) -> None:
    """Wait until the guest stands still because hardly anything is left to copy, or make it."""
    standing = asyncio.ensure_future(leaving.reaches("pre-switchover", _MEMORY_DEADLINE_S))
    try:
        await asyncio.wait((standing,), timeout=_PATIENCE_S + spec.memory_bytes / _PATIENCE_BYTES_S)
        if not standing.done():
            await machine.pause()
        await standing
    finally:
        standing.cancel()


async def _recover(machine: Machine, ran: bool, error: BaseException) -> None:
    """Let the machine be as it was before `error`, which is told where it cannot."""
    try:
        await give_up(machine)
        if ran:
            await go_on(machine)
    except FirkinError as failure:
        error.add_note(f"and it does not go on: {failure}")


async def _stood_still_s(stops: EventListener) -> float:
    """How long the guest stood still, by QEMU's own clock; it runs again."""
    stopped = resumed = 0.0
    while not stops.empty():
        message: Any = await stops.get()
        stamp = message["timestamp"]
        at = stamp["seconds"] + stamp["microseconds"] / 1e6
        if message["event"] == "STOP":
            stopped = stopped or at
        else:
            resumed = at
    return max(resumed - stopped, 0.0)


def _room(dir: Path) -> int:
    stat = os.statvfs(dir)
    return stat.f_bavail * stat.f_frsize
