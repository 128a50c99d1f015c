"""Saving: a machine's memory and state as files, from which others can be started.

A machine whose memory is a file already (a template's) only writes its state. Any other is migrated into a
mirror, which receives the memory into a file while the guest runs on, and then writes its own state. The
guest stands still only while the last pages, the devices and the disk are taken over.

QEMU before 9.0 loses track of what a guest under TCG writes once it has looked for that a second time while
the guest runs (its commit "physmem: Fix migration dirty bitmap coherency with TCG memory access"). So the
guest is stopped here before QEMU looks again, and a save that came too late begins anew, the guest stopped.

The rule: whatever fails, or is cancelled, the guest goes on as it was.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from qemu.qmp import EventListener

from firkin.aio.finish import finish
from firkin.errors import FirkinError, MachineError, Timeout
from firkin.events import event
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
from firkin.machine.saved import MEMORY, STATE, free_bytes, storage_full
from firkin.machine.spec import MachineSpec
from firkin.settings import Settings

_STATE_BYTES = 1 << 20
"""More than the state of a machine without its memory takes."""
_STATE_DEADLINE_S = 30.0
_SWITCH_DEADLINE_S = 60.0
_MEMORY_DEADLINE_S = 600.0
_SILENCE_DEADLINE_S = 10.0
_LAST_BYTES = 8 << 20
"""How much of the memory is left to copy when the guest is stopped, beside what it wrote meanwhile."""
_FASTEST_BYTES_S = 8 << 30
"""No memory is copied faster, not even zeros."""
_SLICE_S = 0.001

Silence = Callable[[], AbstractAsyncContextManager[object]]
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
        if free_bytes(dir) < _STATE_BYTES:
            raise storage_full(dir, f"the state of machine {machine.name!r}") from error
        raise
    finally:
        os.close(fd)


async def save(
    machine: Machine,
    spec: MachineSpec,
    settings: Settings,
    dir: Path,
    *,
    silence: Silence = nullcontext,
    standing_still: StandingStill | None = None,
    stop: bool = False,
) -> Saving:
    """Write memory and state of `machine`, which is of `spec`, to `dir`. It goes on as it was, unless `stop`.

    `silence()` is entered before the guest stands still and left once it goes on, or is to be left as it is,
    maybe twice; `standing_still` is awaited while the guest stands still: the moment to take its disk. A
    guest that was paused before stays so. Raises MachineError, MachineDied, StorageFull, Timeout,
    HostUnsupported, OSError, and whatever `silence` and `standing_still` raise; then, and when this is
    cancelled, `machine` goes on, and `dir` holds nothing whole.
    """
    begin = time.monotonic()
    plan = _Plan(machine, spec, settings, dir, silence, standing_still, stop)
    try:
        paused_s = await _attempt(plan, early=False)
    except _Outrun:
        event("machine.outrun", machine=machine.name)
        (dir / MEMORY).unlink()
        paused_s = await _attempt(plan, early=True)
    return Saving(time.monotonic() - begin, paused_s)


class _Plan(NamedTuple):
    machine: Machine
    spec: MachineSpec
    settings: Settings
    dir: Path
    silence: Silence
    standing_still: StandingStill | None
    stop: bool


class _Outrun(Exception):
    """The memory was copied while the guest ran, before it was stopped for the last of it."""


async def _attempt(plan: _Plan, *, early: bool) -> float:
    """Save the machine, which stands still from the beginning where `early`; for how long it did.

    Raises _Outrun where what was copied is not to be trusted; then it goes on.
    """
    machine = plan.machine
    async with mirror(machine, plan.spec, plan.settings, plan.dir) as twin:
        client = await machine.monitor()
        ran = await runs(machine)
        with client.listener(names=("STOP", "RESUME")) as stops:
            try:
                paused_s = 0.0
                async with AsyncExitStack() as silent:
                    await _copy(plan, twin, silent, early=early or not ran)
                    if ran and not plan.stop:
                        await go_on(machine)
                        paused_s = await _stood_still_s(stops)
                await write_state(twin, plan.dir)
            except BaseException as error:
                await finish(_recover(machine, ran, error))
                raise
    return paused_s


async def recover(machine: Machine) -> None:
    """Let a machine go on whose owner died while it was saved: it may stand still. Raises MachineDied,
    AgentError, Timeout.
    """
    await give_up(machine)
    await go_on(machine)


async def _copy(plan: _Plan, twin: Machine, silent: AsyncExitStack, *, early: bool) -> None:
    """Migrate the machine into its mirror; both stand still then, and `silent` has the silence."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        async with (
            migration(plan.machine, (PAUSE_BEFORE_SWITCHOVER,)) as leaving,
            migration(twin, ()) as arriving,
        ):
            if early:
                await _hush(plan, silent)
            await arriving.receive(theirs.fileno())
            await _depart(plan.machine, leaving, ours.fileno(), goes_on=not early)
            for end in (ours, theirs):
                end.close()  # who reads must hear of it when who writes ends, and the other way round
            if not early:
                await _nearly_all(leaving, twin)
                await _stand_still(plan, leaving, silent)
            await leaving.converge()
            twin.halt(False)
            await leaving.reaches("pre-switchover", _MEMORY_DEADLINE_S)
            if plan.standing_still is not None:
                await plan.standing_still()
            await leaving.proceed()
            await leaving.reaches("completed", _SWITCH_DEADLINE_S)
            await arriving.reaches("completed", _SWITCH_DEADLINE_S)


async def _depart(machine: Machine, leaving: Migration, fd: int, *, goes_on: bool) -> None:
    """Begin to copy the machine. Under TCG it stands still while QEMU begins to look for what it writes:
    that which its CPUs are just at would not be seen.
    """
    await machine.pause()
    await leaving.send(fd, wait=True)
    await leaving.reaches("active", _SWITCH_DEADLINE_S)
    if goes_on:
        await machine.resume()


async def _nearly_all(leaving: Migration, twin: Machine) -> None:
    """Copy until hardly anything of the memory is left to copy for the first time; nothing is copied then.

    The mirror takes what it is sent in slices, each too short for all that is left.
    """
    deadline = time.monotonic() + _MEMORY_DEADLINE_S
    while (now := await leaving.progress()).rounds == 1 and now.left_bytes > _LAST_BYTES:
        if time.monotonic() > deadline:
            raise Timeout(
                f"the memory was not copied within {_MEMORY_DEADLINE_S:g} s",
                hint="the host may be overloaded, or its disk slow",
            )
        twin.halt(False)
        await asyncio.sleep(max((now.left_bytes - _LAST_BYTES) / _FASTEST_BYTES_S, _SLICE_S))
        twin.halt(True)


async def _stand_still(plan: _Plan, leaving: Migration, silent: AsyncExitStack) -> None:
    """Stop the machine before QEMU looks for what it wrote. Raises _Outrun where that was sooner."""
    hushed = asyncio.ensure_future(_hush(plan, silent))
    stopped = asyncio.ensure_future(leaving.reaches("pre-switchover", _MEMORY_DEADLINE_S))
    try:
        await asyncio.wait((hushed, stopped), return_when=asyncio.FIRST_COMPLETED)
        if stopped.done():
            stopped.result()
            raise _Outrun  # it stands still already, and nobody can be silent with it
        hushed.result()
        if plan.machine.accelerator == "tcg" and (await leaving.progress()).rounds > 1:
            raise _Outrun
    finally:
        for task in (hushed, stopped):
            task.cancel()
        await asyncio.wait((hushed, stopped))


async def _hush(plan: _Plan, silent: AsyncExitStack) -> None:
    """Have the machine's host fall silent, then the machine stand still."""
    try:
        async with asyncio.timeout(_SILENCE_DEADLINE_S):
            await silent.enter_async_context(plan.silence())
    except TimeoutError as error:
        raise Timeout(
            f"the agent of machine {plan.machine.name!r} did not answer within {_SILENCE_DEADLINE_S:g} s",
            hint="the machine may be overloaded; try again",
        ) from error
    await plan.machine.pause()


async def _recover(machine: Machine, ran: bool, error: BaseException) -> None:
    """Let the machine be as it was before `error`, which is told where it cannot."""
    try:
        await give_up(machine)
        if ran:
            await go_on(machine)
    except FirkinError as failure:
        error.add_note(f"and it does not go on: {failure}")


async def _stood_still_s(stops: EventListener) -> float:
    """How long the guest stood still in all, by QEMU's own clock; it runs again."""
    total = since = 0.0
    while not stops.empty():
        message: Any = await stops.get()
        stamp = message["timestamp"]
        at = stamp["seconds"] + stamp["microseconds"] / 1e6
        if message["event"] == "STOP":
            since = at
        elif since:
            total, since = total + at - since, 0.0
    return total
