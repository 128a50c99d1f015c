"""Paused: a running container whose machine stands still, and whose record says so.

    pause      the machine stands still ► that is on record
    unpause    that it runs is on record ► its agent is told the time, and the machine goes on

The rule: what is on record as paused stands still, whoever dies. A machine that stands still and is on record
as running goes on as soon as somebody takes it over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from firkin.aio.finish import finish
from firkin.engine.deadline import within
from firkin.engine.keeper import Keeper
from firkin.engine.launch import Launched
from firkin.engine.standing import rest, wake
from firkin.errors import MachineDied, WrongState
from firkin.events import event
from firkin.machine.namespace.namespace import Namespace
from firkin.wire.messages import Op

PATIENCE_S = 20.0


async def pause(keeper: Keeper) -> None:
    """Let its machine stand still. Raises WrongState where it does so or does not run, StorageFull,
    HostUnsupported where it is in namespaces and nothing freezes them, and what standing.rest() raises; then
    it goes on.
    """
    await finish(_pause(keeper))


async def _pause(keeper: Keeper) -> None:
    launched = keeper.running()
    if isinstance(launched.machine, Namespace):
        launched.machine.freezer()
    await rest(launched)
    try:
        keeper.note_paused(True)
    except BaseException:
        await wake(launched)
        raise
    event("container.paused", container=keeper.record.id, name=keeper.spec.name)


@asynccontextmanager
async def stopped(keeper: Keeper) -> AsyncIterator[None]:
    """None of the container's processes runs in the block, though it is not on record as paused: they go on
    at its end, or when somebody takes it over. One that is paused stays so.

    Raises WrongState where it does not run, MachineDied, Timeout.
    """
    launched = keeper.machine()
    if keeper.paused:
        yield
        return
    await rest(launched)
    try:
        yield
    finally:
        await finish(_go_on(keeper, launched))


async def _go_on(keeper: Keeper, launched: Launched) -> None:
    with suppress(MachineDied):  # its end is told elsewhere
        async with within(PATIENCE_S, f"the waking of container {keeper.spec.name!r}"):
            await wake(launched)


async def unpause(keeper: Keeper, *ops: Op) -> None:
    """Let it go on, with the time as it is now; its agent has done `ops` before any of its programs runs.

    Raises WrongState where it does not stand still, StorageFull; then it does so still. MachineDied, Timeout.
    """
    await finish(_unpause(keeper, ops))


async def _unpause(keeper: Keeper, ops: tuple[Op, ...]) -> None:
    launched, name = keeper.machine(), keeper.spec.name
    if not keeper.paused:
        raise WrongState(f"container {name!r} is not paused", hint="`firkin ps -a` shows its state")
    keeper.note_paused(False)
    async with within(PATIENCE_S, f"the waking of container {name!r}"):
        await wake(launched, ops)
    event("container.unpaused", container=keeper.record.id, name=name)
