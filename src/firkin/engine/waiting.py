"""Waiting: until something has become true of a container, whoever owns it, and whoever does then."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from firkin.container.record import LOST, Exited, Record, Running
from firkin.engine.container import Container
from firkin.errors import ContainerNotFound, MachineDied
from firkin.paths import Paths
from firkin.process.spec import ExitStatus

if TYPE_CHECKING:
    from firkin.linux.inotify import Watch

Condition = Literal["not-running", "next-exit", "removed"]
"""Docker's. `not-running` holds of one that has ended already, `next-exit` when it has ended once more."""

_LOOK_EVERY_S = 1.0
"""How often it is looked whether a machine died that nobody owns; all else is told by the directory."""


async def until(container: Container, paths: Paths, condition: Condition) -> ExitStatus:
    """How `container` ended, once `condition` holds. Raises what Container.wait() does."""
    record = Record(paths, container.id)
    if condition == "next-exit":
        return await _next_exit(container, record)
    if condition == "removed":
        return await _removed(container, record)
    return await container.wait()


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


def _watch(record: Record) -> Watch:
    from firkin.linux.inotify import Watch

    try:
        return Watch(record.dir)
    except FileNotFoundError as error:
        raise ContainerNotFound(f"container {record.id[:12]} was removed") from error
