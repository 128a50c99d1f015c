"""What a dead supervisor left: running machines are taken over, half-started ones ended.

Running, machine alive    adopted: its output goes on at the byte where the log ends
Running, machine gone     its end is put on record, by engine.tidy
Suspended, machine alive  died between the save and the machine's end: the machine is killed
Begun, machine alive      died between the machine's start and the record of it: the machine is killed
Exited, machine alive     died while that wrote down what the container wrote: it is told to end once it has
Begun                     on its way to us: a request will come, or engine.tidy
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from firkin.agent.client import AgentClient
from firkin.aio.child import KILL, Child, Rung
from firkin.container.locks import Lock, holders
from firkin.container.pod import Member
from firkin.container.record import Exited, Record, Running, Suspended, records
from firkin.engine.keeper import SYNC_PATIENCE_S
from firkin.engine.restarting import booted_ns, is_stopped_always, start_after_boot
from firkin.errors import FirkinError, InUse
from firkin.events import event
from firkin.linux.unix_socket import connect
from firkin.paths import Paths

_NO_SIGNAL = 0


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
            if isinstance(record.spec().pod, Member):
                continue  # its pod takes it over
            lock = record.own()
        except InUse:
            continue
        except FirkinError as error:  # seen by whoever lists it, too
            event("container.unadopted", container=record.id, error=error)
            continue
        yield Orphan(record, lock)


def to_start(paths: Paths) -> Iterator[Record]:
    """Every container that is to be started again by itself."""
    booted = booted_ns()
    for record in records(paths):
        with suppress(FirkinError):  # whoever is at it, or lists it, sees to it
            if is_stopped_always(record, booted):
                with record.own():
                    start_after_boot(record, booted)
            state = record.state()
            if isinstance(state, Exited) and state.again_ns is not None:
                yield record


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
    await _end(record, KILL)


async def write_down(record: Record) -> None:
    """Let the machine of a container that has ended write down what that wrote, and end. For its owner.

    Its dead owner may have asked for that or not; what does not end in time is killed. Raises Timeout where
    it does not die.
    """
    with suppress(TimeoutError, OSError, FirkinError):  # it may be ending already
        async with asyncio.timeout(SYNC_PATIENCE_S):
            sock = connect(record.paths.agent_socket_path(record.id))
            async with await AgentClient.open(sock, record.spec().name) as client:
                await client.start(resume=True)
                await client.poweroff(sync=True)
    await _end(record, (Rung(_NO_SIGNAL, SYNC_PATIENCE_S), *KILL))


async def _end(record: Record, ladder: Sequence[Rung]) -> None:
    """End whatever holds that it is alive, by `ladder`."""
    for pid in holders(record.alive_path):
        if pid == os.getpid():
            continue
        try:
            child = Child.adopt(pid)
        except ProcessLookupError:
            continue
        try:
            await child.stop(ladder)
        finally:
            child.close()
