"""Waiting: until something has become true of a container, whoever owns it, and whoever does then."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from firkin.container.health_record import health_of
from firkin.container.record import LOST, Exited, Record, Running, State
from firkin.engine.container import Container, no_health_check
from firkin.errors import ContainerNotFound, MachineDied, WrongState
from firkin.paths import Paths
from firkin.process.spec import ExitStatus

if TYPE_CHECKING:
    from firkin.linux.inotify import Watch

Condition = Literal["not-running", "next-exit", "removed", "healthy", "unhealthy"]
"""Docker's, and podman's.

`not-running` holds of one that has ended already, `next-exit` when it has ended once more.
"""

_LOOK_EVERY_S = 1.0
"""How often it is looked whether a machine died that nobody owns; all else is told by the directory."""


async def until(container: Container, paths: Paths, condition: Condition) -> ExitStatus:
    """How `container` ended, once `condition` holds; 0 for one that need not end for that.

    Raises what Container.wait() does, WrongState where it ends before its health is `condition`.
    """
    record = Record(paths, container.id)
    if condition in ("healthy", "unhealthy"):
        await _until_health(container, record, condition)
        return ExitStatus(code=0)
    if condition == "next-exit":
        return await _next_exit(container, record)
    if condition == "removed":
        return await _removed(container, record)
    return await container.wait()


def health_word(paths: Paths, container: Container) -> str:
    """How `container` is, "" where it has no check. Raises ContainerNotFound, Corrupt."""
    if container.spec.health is None:
        return ""
    return health_of(Record(paths, container.id), container.state).status


async def _next_exit(container: Container, record: Record) -> ExitStatus:
    """Its status of the next end. Raises ContainerNotFound where it goes without one."""
    before = record.state()
    with _watch(record) as watch:
        while True:
            state = record.state()
            if isinstance(state, Running):
                return await container.wait()
            if isinstance(state, Exited) and state != before and not _is_same_end(state, before):
                return state.status
            await watch.changed(_LOOK_EVERY_S)


def _is_same_end(state: Exited, before: object) -> bool:
    return isinstance(before, Exited) and before.finished_ns == state.finished_ns


async def _removed(container: Container, record: Record) -> ExitStatus:
    """The status of its last end, once it is gone; 0 for one that never ended."""
    status = ExitStatus(code=0)
    with suppress(ContainerNotFound), _watch(record) as watch:
        while True:
            state = record.state()
            if isinstance(state, Running):
                try:
                    status = await container.wait()
                except MachineDied:
                    status = LOST
                continue
            if isinstance(state, Exited):
                status = state.status
            await watch.changed(_LOOK_EVERY_S)
    return status


async def _until_health(container: Container, record: Record, wanted: str) -> None:
    """Return once its health is `wanted`. Raises WrongState where it has no check, or does not run."""
    if container.spec.health is None:
        raise no_health_check(container.name)
    with _watch(record) as watch:
        ending: asyncio.Future[ExitStatus] | None = (
            None  # whoever waits for its end sees that it has an owner
        )
        try:
            while (state := record.state()) and not _is(wanted, record, state):
                _check_going(container, record, state, wanted)
                if isinstance(state, Running) and (ending is None or ending.done()):
                    ending = asyncio.ensure_future(container.wait())
                    ending.add_done_callback(lambda task: task.cancelled() or task.exception())
                await watch.changed(_LOOK_EVERY_S)
        finally:
            if ending is not None:
                ending.cancel()


def _is(wanted: str, record: Record, state: State) -> bool:
    return isinstance(state, Running) and health_of(record, state).status == wanted


def _check_going(container: Container, record: Record, state: State, wanted: str) -> None:
    """Raise WrongState where it is not running, nor about to."""
    if isinstance(state, Running) or (isinstance(state, Exited) and state.again_ns is not None):
        return
    if not record.is_owned():  # else it is just being started, or ends
        raise WrongState(
            f"container {container.name!r} does not run, and was not {wanted} before",
            hint="`firkin ps -a` shows its state",
        )


def _watch(record: Record) -> Watch:
    from firkin.linux.inotify import Watch

    try:
        return Watch(record.dir)
    except FileNotFoundError as error:
        raise ContainerNotFound(f"container {record.id[:12]} was removed") from error
