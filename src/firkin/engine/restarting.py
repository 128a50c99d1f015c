"""Restarting: a container that has ended, and whose record says when it is to be started again.

The rule: the time is part of the record of its end, so whoever dies, the next supervisor sees what is due;
whoever starts, stops or removes the container before changes that record, and so calls it off.
"""

from __future__ import annotations

import time

import msgspec

from firkin.container.record import LOST, Exited, Record, Running
from firkin.container.spec import ContainerSpec
from firkin.errors import FirkinError


def due(spec: ContainerSpec, started: Running, ended: Exited) -> Exited:
    """`ended`, the end of `started` that nobody asked for, with when its policy has it started again."""
    ended = msgspec.structs.replace(ended, tries=started.tries)
    ran_s = (ended.finished_ns - started.started_ns) / 1e9
    return _due(spec, ended, ran_s=ran_s) if started.detached else ended


def failed(spec: ContainerSpec, ended: Exited, error: FirkinError) -> Exited:
    """What `ended` becomes when the start that was due did not succeed."""
    reason = f"it could not be started again: {error}"
    told = msgspec.structs.replace(ended, status=LOST, reason=reason, again_ns=None)
    return _due(spec, told, ran_s=0)


def _due(spec: ContainerSpec, ended: Exited, *, ran_s: float) -> Exited:
    tries = spec.restart.next(ended.tries, ok=ended.status.ok, ran_s=ran_s)
    if tries is None:
        return ended
    again_ns = time.time_ns() + int(tries.delay_s * 1e9)
    return msgspec.structs.replace(ended, tries=tries, again_ns=again_ns)


def is_stopped_always(record: Record, booted_ns: int) -> bool:
    """Whether it was stopped before this host was booted, and its policy is always: Docker starts those."""
    state = record.state()
    stopped = isinstance(state, Exited) and state.again_ns is None and state.finished_ns < booted_ns
    return stopped and record.spec().restart.name == "always"


def start_after_boot(record: Record, booted_ns: int) -> None:
    """Put on record that one of which that is true is to be started again. The owner's."""
    state = record.state()
    if is_stopped_always(record, booted_ns) and isinstance(state, Exited):
        record.set_again(msgspec.structs.replace(state, again_ns=time.time_ns()))


def booted_ns() -> int:
    """When this host was booted, by the clock of now."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
