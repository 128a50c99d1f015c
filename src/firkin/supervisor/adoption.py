"""What a dead supervisor left: running machines are taken over, half-started ones ended.

Running, machine alive    adopted: its output goes on at the byte where the log ends
Running, machine gone     its end is put on record, by engine.tidy
Suspended, machine alive  died between the save and the machine's end: the machine is killed
Begun, machine alive      died between the machine's start and the record of it: the machine is killed
Begun                     on its way to us: a request will come, or engine.tidy
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from firkin.aio.child import KILL, Child
from firkin.container.locks import Lock, holders
from firkin.container.record import Record, Running, Suspended, records
from firkin.errors import FirkinError, InUse
from firkin.events import event
from firkin.paths import Paths


@dataclass(frozen=True, slots=True)
class Orphan:
    """A detached container whose machine runs and that we own now, by `lock`."""

    record: Record
    lock: Lock


def orphans(paths: Paths) -> Iterator[Orphan]:
    """Every detached container without an owner whose machine runs; unreadable ones are told of, no more."""
    for record in records(paths):
        try:
            if not record.is_alive() or record.is_owned() or not _outlives(record):
                continue
            lock = record.own()
        except InUse:
            continue
        except FirkinError as error:  # seen by whoever lists it, too
            event("container.unadopted", container=record.id, error=error)
            continue
        yield Orphan(record, lock)


def _outlives(record: Record) -> bool:
    """Whether its machine is one that outlives its owner."""
    state = record.state()
    detached = isinstance(state, Running | Suspended) and state.detached
    return record.spec().detached or record.is_begun() or detached


async def end_half_started(record: Record) -> None:
    """Kill the machine of a container that is not on record as running. For its owner.

    Raises Timeout where it does not die.
    """
    begun = record.is_begun() or isinstance(record.state(), Suspended)
    if not begun or not record.is_alive():
        return
    event("machine.orphan", container=record.id)
    for pid in holders(record.alive_path):
        if pid != os.getpid():
            await _kill(pid)


async def _kill(pid: int) -> None:
    try:
        child = Child.adopt(pid)
    except ProcessLookupError:
        return
    try:
        await child.stop(KILL)
    finally:
        child.close()
