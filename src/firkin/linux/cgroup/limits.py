"""Limits: what a container may use, and the files of control groups that hold it to that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

Version = Literal[1, 2]
Controller = Literal["cpu", "cpuacct", "cpuset", "io", "memory", "pids", "freezer"]
"""As version 2 calls them; `cpuacct` and `freezer` are version 1's for what every group of version 2 has."""

PERIOD_US = 100_000
LEAST_SHARES, MOST_SHARES = 2, 262_144
_DEFAULT_SHARES, _DEFAULT_WEIGHT, _MOST_WEIGHT = 1024, 100, 10_000


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """None: whatever there is. A machine of its own has words for the first three only."""

    cpus: Annotated[float, msgspec.Meta(ge=0.01, le=1024)] | None = None
    memory_bytes: Annotated[int, msgspec.Meta(ge=1 << 20, le=1 << 50)] | None = None
    pids: Annotated[int, msgspec.Meta(ge=1, le=4 << 20)] | None = None
    memory_swap_bytes: Annotated[int, msgspec.Meta(ge=-1, le=1 << 51)] | None = None
    """Memory and swap together; -1 is any amount of swap."""
    cpuset: Annotated[str, msgspec.Meta(max_length=1024, pattern=r"^[0-9,-]*$")] = ""
    """The processors that it may run on, such as `0-2,5`."""
    shares: Annotated[int, msgspec.Meta(ge=LEAST_SHARES, le=MOST_SHARES)] | None = None
    """Its part of processors that others want, too; 1024 is one like any other."""


UNLIMITED = Limits()


class Setting(msgspec.Struct, frozen=True):
    """`text` is to be in `file` of the controller's group, for the limit `field`."""

    field: str
    controller: Controller
    file: str
    text: str


def settings(version: Version, wanted: Limits, held: Limits = UNLIMITED) -> tuple[Setting, ...]:
    """What changes a group that holds to `held` into one that holds to `wanted`, in the order to write it."""
    return tuple((_of_version_1 if version == 1 else _of_version_2)(wanted, held))


def flag(field: str) -> str:
    """The word of `firkin run` for a limit."""
    return _FLAGS[field]


_FLAGS = {
    "cpus": "--cpus",
    "memory": "--memory",
    "pids_limit": "--pids-limit",
    "memory_swap": "--memory-swap",
    "cpuset_cpus": "--cpuset-cpus",
    "cpu_shares": "--cpu-shares",
}


def _of_version_1(wanted: Limits, held: Limits) -> Iterator[Setting]:
    if wanted.cpus != held.cpus:
        quota = -1 if wanted.cpus is None else _quota(wanted.cpus)
        yield Setting("cpus", "cpu", "cpu.cfs_period_us", str(PERIOD_US))
        yield Setting("cpus", "cpu", "cpu.cfs_quota_us", str(quota))
    if wanted.shares != held.shares:
        yield Setting("cpu_shares", "cpu", "cpu.shares", str(wanted.shares or _DEFAULT_SHARES))
    if wanted.cpuset != held.cpuset:
        yield Setting("cpuset_cpus", "cpuset", "cpuset.cpus", wanted.cpuset)
    yield from _memory_of_version_1(wanted, held)
    if wanted.pids != held.pids:
        yield Setting("pids_limit", "pids", "pids.max", _or_max(wanted.pids))


def _memory_of_version_1(wanted: Limits, held: Limits) -> Iterator[Setting]:
    """Both together must never be below memory alone, so the one that makes room comes first."""
    changes = []
    if wanted.memory_bytes != held.memory_bytes:
        text = str(wanted.memory_bytes or -1)
        changes.append(Setting("memory", "memory", "memory.limit_in_bytes", text))
    if wanted.memory_swap_bytes != held.memory_swap_bytes:
        text = str(wanted.memory_swap_bytes or -1)
        changes.append(Setting("memory_swap", "memory", "memory.memsw.limit_in_bytes", text))
    grows = _total(wanted) > _total(held)
    return reversed(changes) if grows else iter(changes)


def _total(limits: Limits) -> float:
    total = limits.memory_swap_bytes
    return float("inf") if total is None or total < 0 else total


def _of_version_2(wanted: Limits, held: Limits) -> Iterator[Setting]:
    if wanted.cpus != held.cpus:
        quota = "max" if wanted.cpus is None else str(_quota(wanted.cpus))
        yield Setting("cpus", "cpu", "cpu.max", f"{quota} {PERIOD_US}")
    if wanted.shares != held.shares:
        yield Setting("cpu_shares", "cpu", "cpu.weight", str(_weight(wanted.shares)))
    if wanted.cpuset != held.cpuset:
        yield Setting("cpuset_cpus", "cpuset", "cpuset.cpus", wanted.cpuset)
    if wanted.memory_bytes != held.memory_bytes:
        yield Setting("memory", "memory", "memory.max", _or_max(wanted.memory_bytes))
    if _swap(wanted) != _swap(held):
        yield Setting("memory_swap", "memory", "memory.swap.max", _or_max(_swap(wanted)))
    if wanted.pids != held.pids:
        yield Setting("pids_limit", "pids", "pids.max", _or_max(wanted.pids))


def _swap(limits: Limits) -> int | None:
    """Swap alone, which is what version 2 counts; None: any."""
    total = limits.memory_swap_bytes
    return None if total is None or total < 0 else total - (limits.memory_bytes or 0)


def _quota(cpus: float) -> int:
    return round(cpus * PERIOD_US)


def _or_max(value: int | None) -> str:
    return "max" if value is None else str(value)


def _weight(shares: int | None) -> int:
    """The weight of version 2 that stands for `shares`, as all OCI runtimes have it."""
    if shares is None:
        return _DEFAULT_WEIGHT
    return 1 + (shares - LEAST_SHARES) * (_MOST_WEIGHT - 1) // (MOST_SHARES - LEAST_SHARES)
