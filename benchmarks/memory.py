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
    size_bytes: int
    pss_bytes: int


def mappings(pid: int) -> Iterator[Mapping]:
    """The mappings of a process, from /proc/PID/smaps (proc(5))."""
    size_bytes = 0
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if line.startswith("Size:"):
            size_bytes = int(line.split()[1]) << 10
        elif line.startswith("Pss:"):
            yield Mapping(size_bytes, int(line.split()[1]) << 10)


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
    """What the processes hold: the guest's pages, what QEMU has beside them, and all the others."""
    guest = vmm = others = 0
    for pid in pids:
        held = list(mappings(pid))
        total = sum(mapping.pss_bytes for mapping in held)
        ram = sum(mapping.pss_bytes for mapping in held if mapping.size_bytes == MEMORY_BYTES)
        if ram:
            guest, vmm = guest + ram, vmm + total - ram
        else:
            others += total
    if not guest:
        raise RuntimeError("none of the processes has a machine's memory")
    return {"guest": guest, "vmm": vmm, "others": others, "beside": vmm + others}


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
    yield Row("guest's own touched pages", sample["guest"], "MB")
    yield Row("QEMU beside them", sample["vmm"], "MB")
    yield Row("firkin run's Python", sample["others"], "MB")
    yield Row("both together", sample["beside"], "MB", goal="< 40 MB", limit=LIMIT_BYTES)
