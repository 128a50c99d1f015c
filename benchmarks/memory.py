"""Memory of a running container beside the pages that its guest touched, in proportional set size (PSS).

The guest's own pages are those of QEMU's mapping of exactly the machine's memory; all else that QEMU and
firkin hold is what the container costs on top.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Contender, Measures, take_turns
from benchmarks.place import Place
from benchmarks.table import Row

LIMIT_BYTES = 40e6
MEMORY_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Mapping:
    permissions: str
    name: str
    size_bytes: int
    pss_bytes: int


def mappings(pid: int) -> Iterator[Mapping]:
    """The mappings of a process, from /proc/PID/smaps (proc(5))."""
    permissions, name, size_bytes = "", "", 0
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        key, *words = line.split()
        if key == "Size:":
            size_bytes = int(words[0]) << 10
        elif key == "Pss:":
            yield Mapping(permissions, name, size_bytes, int(words[0]) << 10)
        elif not key.endswith(":"):
            permissions, name = words[0], " ".join(words[4:])


def private_bytes(pid: int) -> int:
    """The memory that is a process's alone: what its end would give back."""
    return _rolled_up(pid, "Private_Clean", "Private_Dirty")


def proportional_bytes(pid: int) -> int:
    """Its own memory and its part of what it shares: summed over all who share, everything is in it once."""
    return _rolled_up(pid, "Pss")


def _rolled_up(pid: int, *names: str) -> int:
    """From proc(5), smaps_rollup."""
    lines = (line.split(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return sum(int(value.split()[0]) << 10 for name, value in lines if name in names)


def descendants(pid: int) -> list[int]:
    """`pid` and all processes below it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def weigh(pids: list[int]) -> Measures:
    """What the processes hold: the guest's pages, what QEMU has beside them by kind, and all the others."""
    weight = dict.fromkeys(("guest", "translated", "kernel", "vmm", "others"), 0.0)
    for pid in pids:
        held = list(mappings(pid))
        in_vmm = any(map(_is_guest, held))
        for mapping in held:
            weight[_kind(mapping) if in_vmm else "others"] += mapping.pss_bytes
    if not weight["guest"]:
        raise RuntimeError("none of the processes has a machine's memory")
    return weight | {"beside": sum(weight.values()) - weight["guest"]}


def _is_guest(mapping: Mapping) -> bool:
    """Of its own, or of the template that it is a fork of."""
    return mapping.size_bytes == MEMORY_BYTES and (not mapping.name or mapping.name.endswith("/memory"))


def _kind(mapping: Mapping) -> str:
    if _is_guest(mapping):
        return "guest"
    if "wx" in mapping.permissions:
        return "translated"
    return "kernel" if "vmlinu" in mapping.name else "vmm"


def _running_container(place: Place) -> Measures:
    argv = [place.firkin, "run", "-i", "--rm", "--memory", f"{MEMORY_BYTES >> 20}m", place.static_image]
    command = ["sh", "-c", "echo ready; read until_stdin_ends"]
    with subprocess.Popen(
        [*argv, *command], env=place.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        run.stdout.readline()
        weight = weigh(descendants(run.pid))
        run.communicate()
    return weight


def rows(place: Place) -> Iterator[Row]:
    ours = Contender("firkin", lambda: _running_container(place))
    sample = take_turns([ours], max(3, place.rounds // 3), warmups=0)["firkin"]
    yield Row("the guest's own touched pages", sample["guest"], "MB")
    yield Row("QEMU: code that TCG translated (none with KVM)", sample["translated"], "MB")
    yield Row("QEMU: the kernel's file, mapped", sample["kernel"], "MB")
    yield Row("QEMU: all else", sample["vmm"], "MB")
    yield Row("firkin run's Python", sample["others"], "MB")
    yield Row("all beside the guest's pages", sample["beside"], "MB", goal="< 40 MB", limit=LIMIT_BYTES)
