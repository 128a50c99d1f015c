"""Pressure: what the kernel tells of how much of this host is left, and how hard it is to get.

    /proc/meminfo            MemAvailable: what can be had without swapping (proc(5))
    /proc/self/cgroup        the control groups that we are in; each, and each above it, may have a limit
    /proc/loadavg            how many tasks run or wait for a disk, in the mean over a minute
    /proc/pressure/memory    how much of the time tasks stood still for want of memory (PSI, psi.rst)

The rule: what the kernel does not tell limits nothing, but for MemAvailable, which every kernel tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from firkin.errors import HostUnsupported

_ROOT = Path("/")


class Memory(msgspec.Struct, frozen=True):
    """Of this host, or of the control group that this process is in, where that has less. In bytes."""

    total_bytes: int
    available_bytes: int


class _Group(msgspec.Struct, frozen=True):
    """The memory files of a control group: cgroup-v2.rst, cgroup-v1/memory.rst."""

    mount: str
    limit: str
    used: str
    reclaimable: str
    """The line of memory.stat that has the file pages that go first."""


_V2 = _Group("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")
_V2_BESIDE_V1 = msgspec.structs.replace(_V2, mount="sys/fs/cgroup/unified")
_V1 = _Group("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def memory(root: Path = _ROOT) -> Memory:
    """What there is, and what may still be taken. Raises HostUnsupported where /proc does not tell."""
    path = root / "proc/meminfo"
    try:
        lines = dict(line.split(":", 1) for line in path.read_text().splitlines())
        total, available = (int(lines[name].split()[0]) << 10 for name in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError) as error:
        raise HostUnsupported(
            f"{path} does not tell how much memory is available: {error}", hint="mount /proc"
        ) from error
    for limit, room in _limits(root):
        total, available = min(total, limit), min(available, room)
    return Memory(total, available)


def load(root: Path = _ROOT) -> float:
    """The load average over the last minute; 0.0 where it is not told."""
    try:
        return float((root / "proc/loadavg").read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return 0.0


def memory_stall(root: Path = _ROOT) -> float:
    """The share of the last ten seconds, 0.0 to 1.0, in which some task stood still for want of memory.

    0.0 where it is not told, as by a kernel before Linux 4.20.
    """
    try:
        some = (root / "proc/pressure/memory").read_text().splitlines()[0].split()
        return float(dict(word.split("=") for word in some[1:])["avg10"]) / 100
    except (OSError, IndexError, KeyError, ValueError):
        return 0.0


def _limits(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and room of each control group that we are in and that has a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for kind in _kinds(controllers):
            for directory in _upwards(root / kind.mount, path):
                yield from _limit(directory, kind)


def _kinds(controllers: str) -> tuple[_Group, ...]:
    """Where the groups of a line of /proc/self/cgroup are: of version 2, or of version 1 with memory's."""
    if not controllers:
        return (_V2, _V2_BESIDE_V1)
    return (_V1,) if "memory" in controllers.split(",") else ()


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """The directories of a group and of those above it. One outside of our namespace is not to be seen."""
    inside = Path(path.lstrip("/"))
    if ".." not in inside.parts:
        yield from (mount / each for each in (inside, *inside.parents))


def _limit(directory: Path, kind: _Group) -> Iterator[tuple[int, int]]:
    try:
        limit = int((directory / kind.limit).read_text())
        used = int((directory / kind.used).read_text())
        stat = dict(line.split() for line in (directory / "memory.stat").read_text().splitlines())
        reclaimable = int(stat[kind.reclaimable])
    except (OSError, ValueError, KeyError):  # there is none, or it says "max"
        return
    yield limit, max(0, limit - used + reclaimable)
