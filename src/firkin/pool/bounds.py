"""Bounds: how many machines a pool may have, and what it does next on a host of such facts.

    below a floor          nothing is made; the idle go, one at a time
    no room for one more   nothing is made
    too much load          only what somebody waits for is made
    else                   what somebody waits for, then what is missing to `ready`

The rule: a plan is a value, computed from values; a machine that was lent is in no plan.
"""

from __future__ import annotations

import os

import msgspec

from firkin.engine.admission import DISK_BYTES, DISK_RESERVE_BYTES, RESERVE, host_facts
from firkin.errors import MemoryFull, UsageError
from firkin.linux import pressure
from firkin.paths import Paths
from firkin.units import format_size

LOAD_PER_PROCESSOR = 4.0
MOST_STALL = 0.1
"""The share of time that tasks may stand still for want of memory before the idle have to go."""
_UNLIMITED = 1 << 30


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the host has now."""

    memory_bytes: int
    available_bytes: int
    disk_free_bytes: int
    load: float = 0.0
    """The mean over the last minute."""
    memory_stall: float = 0.0
    """The share of the last ten seconds in which some task stood still for want of memory."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How many machines, and what is left to others. Raises UsageError for numbers that cannot be kept."""

    ready: int = 8
    """How many idle ones are kept."""
    most: int | None = None
    """How many there may be in all, lent ones among them; None: as many as the host carries."""
    at_once: int = max(1, (os.cpu_count() or 1) // 2)
    """How many are made at once where nobody waits for them."""
    reserve_memory_bytes: int | None = None
    """What is left of the memory; None: a sixteenth."""
    reserve_disk_bytes: int = DISK_RESERVE_BYTES
    max_load: float = LOAD_PER_PROCESSOR * (os.cpu_count() or 1)

    def __post_init__(self) -> None:
        if self.ready < 0 or self.at_once < 1 or (self.most is not None and self.most < max(1, self.ready)):
            raise UsageError(
                f"a pool cannot keep {self.ready} machines ready of {self.most} in all, {self.at_once} made "
                "at once",
                hint="`ready` is at least 0, `at_once` at least 1, `most` at least `ready` and 1",
            )
        if self.max_load <= 0 or self.reserve_disk_bytes < 0 or (self.reserve_memory_bytes or 0) < 0:
            raise UsageError("a pool's load is more than 0, and its reserves are not less")


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What a pool has, and how many wait for one."""

    idle: int = 0
    filling: int = 0
    leased: int = 0
    ending: int = 0
    waiting: int = 0

    @property
    def all(self) -> int:
        return self.idle + self.filling + self.leased + self.ending

    def full(self, bounds: Bounds) -> bool:
        """Whether there may be no more."""
        return bounds.most is not None and self.all >= bounds.most


class Plan(msgspec.Struct, frozen=True):
    """What to do next. `pressure` says in words why less is made than is missing, "" where nothing is."""

    fill: int = 0
    evict: int = 0
    pressure: str = ""


def facts_of(paths: Paths) -> Facts:
    """What this host has now. Raises HostUnsupported where the kernel does not tell."""
    host = host_facts(paths)
    return Facts(
        memory_bytes=host.memory_bytes,
        available_bytes=host.available_bytes,
        disk_free_bytes=host.disk_free_bytes,
        load=pressure.load(),
        memory_stall=pressure.memory_stall(),
    )


def plan(
    bounds: Bounds,
    counts: Counts,
    facts: Facts,
    each_bytes: int,
    *,
    stocking: bool,
    eager: bool,
    urged: bool = False,
) -> Plan:
    """What a pool does next, whose machines are expected to take `each_bytes` of memory.

    Without `stocking` only what somebody waits for is made; with `eager` all of that is made at once; with
    `urged` somebody waits for the stock itself.
    """
    surplus = max(0, counts.idle - bounds.ready)
    if shortage := below_floor(bounds, facts):
        return Plan(evict=max(surplus, min(1, counts.idle)), pressure=shortage)
    missing = max(0, counts.waiting + bounds.ready - counts.idle - counts.filling)
    if missing == 0:
        return Plan(evict=surplus)
    hands = max(0, bounds.at_once - counts.filling)
    asked = min(missing, max(0, counts.waiting - counts.filling))
    now = asked if eager else min(asked, hands)
    busy = "" if urged else _too_much_load(bounds, facts)
    stock = max(0, min(missing - asked, hands - now)) if stocking and not busy else 0
    most = _UNLIMITED if bounds.most is None else max(0, bounds.most - counts.all)
    wanted = min(now + stock, most)
    room = room_for(bounds, facts, each_bytes) - counts.filling
    reason = no_room(bounds, facts, each_bytes) if room < min(missing, most) else busy
    return Plan(fill=max(0, min(wanted, room)), evict=surplus, pressure=reason)


def require_room(bounds: Bounds, counts: Counts, facts: Facts, each_bytes: int) -> None:
    """Return where one more can be made beside those that are being made. Raises MemoryFull."""
    if room_for(bounds, facts, each_bytes) <= counts.filling:
        shortage = below_floor(bounds, facts) or no_room(bounds, facts, each_bytes)
        raise MemoryFull(
            f"no machine of the pool is ready, and none can be started: {shortage}",
            hint="end some, or lower the pool's reserves",
        )


def room_for(bounds: Bounds, facts: Facts, each_bytes: int) -> int:
    """How many more machines leave the host its reserves."""
    return max(0, min(_rooms(bounds, facts, each_bytes)))


def no_room(bounds: Bounds, facts: Facts, each_bytes: int) -> str:
    """Why there is no room for more, in words."""
    memory, disk = _rooms(bounds, facts, each_bytes)
    if memory <= disk:
        needed, kind, free, kept = each_bytes, "memory", facts.available_bytes, _reserve_memory(bounds, facts)
    else:
        needed, kind, free, kept = DISK_BYTES, "disk", facts.disk_free_bytes, bounds.reserve_disk_bytes
    return (
        f"one more machine takes {format_size(needed)} of {kind}, of which {format_size(free)} are left and "
        f"{format_size(kept)} are kept free"
    )


def _rooms(bounds: Bounds, facts: Facts, each_bytes: int) -> tuple[int, int]:
    """How many more machines the memory has room for, and how many the disk."""
    memory = (facts.available_bytes - _reserve_memory(bounds, facts)) // each_bytes
    return memory, (facts.disk_free_bytes - bounds.reserve_disk_bytes) // DISK_BYTES


def below_floor(bounds: Bounds, facts: Facts) -> str:
    """What the host has too little of, in words, or ""."""
    reserve = _reserve_memory(bounds, facts)
    if facts.available_bytes < reserve:
        return f"{_left(facts.available_bytes, reserve)} of memory"
    if facts.disk_free_bytes < bounds.reserve_disk_bytes:
        return f"{_left(facts.disk_free_bytes, bounds.reserve_disk_bytes)} of disk"
    if facts.memory_stall > MOST_STALL:
        return f"tasks stood still for want of memory in {facts.memory_stall:.0%} of the last ten seconds"
    return ""


def _too_much_load(bounds: Bounds, facts: Facts) -> str:
    if facts.load <= bounds.max_load:
        return ""
    return f"the load is {facts.load:.3g}, more than {bounds.max_load:g}"


def _reserve_memory(bounds: Bounds, facts: Facts) -> int:
    reserve = bounds.reserve_memory_bytes
    return int(facts.memory_bytes * RESERVE) if reserve is None else reserve


def _left(free_bytes: int, reserve_bytes: int) -> str:
    return f"{format_size(free_bytes)} are left of {format_size(reserve_bytes)} that are to be kept free"
