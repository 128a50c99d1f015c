"""The words for a container's limits, with Docker's names: Limits, and the machine's processors, from them.

The rule: what a machine of its own cannot hold to is refused with the reason, never dropped; what a container
in namespaces may be held to, the host's control groups decide when it starts (machine.namespace.limits).
"""

from __future__ import annotations

import math
import re
from typing import TypedDict

from firkin.errors import UsageError
from firkin.linux.cgroup.limits import LEAST_SHARES, MOST_SHARES, Limits
from firkin.units import parse_size

MOST_CPUS = 256
MOST_PIDS = 4 << 20  # PID_MAX_LIMIT
LEAST_CPUS = 0.01  # the kernel refuses a quota below 1 ms of a period of 100
LEAST_MEMORY_BYTES = 6 << 20  # as Docker has it: less holds no process
_CPUSET = re.compile(r"\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*")


class LimitWords(TypedDict, total=False):
    """What may be said of the limits of a container."""

    pids_limit: int | str | None
    memory_swap: int | str | None
    cpu_shares: int | str | None
    cpuset_cpus: str


def machine_cpus(cpus: float) -> int:
    """How many processors a machine needs for a container that may use `cpus`."""
    return math.ceil(cpus)


def limits(words: LimitWords, *, cpus: float | None, memory_bytes: int | None) -> Limits:
    """What `words` leave a container whose machine has `cpus` and `memory_bytes`. Raises UsageError."""
    refuse_shares(shares(words.get("cpu_shares")))
    refuse_cpuset(words.get("cpuset_cpus", ""))
    check_swap(swap(words.get("memory_swap")), memory_bytes)
    return Limits(
        cpus=None if cpus is None or cpus == machine_cpus(cpus) else cpus,
        pids=pids(words.get("pids_limit")),
    )


def limits_in_namespaces(words: LimitWords, *, cpus: float | None, memory_bytes: int | None) -> Limits:
    """The same for one without a machine: all of it is the host's to hold to. Raises UsageError."""
    if memory_bytes is not None and memory_bytes < LEAST_MEMORY_BYTES:
        raise UsageError(f"memory: {memory_bytes} bytes are too few", hint="give 6m or more")
    return checked(
        Limits(
            cpus=cpus,
            memory_bytes=memory_bytes,
            pids=pids(words.get("pids_limit")),
            memory_swap_bytes=swap(words.get("memory_swap")),
            cpuset=cpuset(words.get("cpuset_cpus", "")),
            shares=shares(words.get("cpu_shares")),
        )
    )


def checked(limits: Limits) -> Limits:
    """`limits`, where they go together. Raises UsageError."""
    total, memory = limits.memory_swap_bytes, limits.memory_bytes
    if total is None or total < 0:
        return limits
    if memory is None or total < memory:
        raise UsageError(
            f"memory_swap: {total} bytes are memory and swap together, and memory alone is "
            f"{'not limited' if memory is None else memory}",
            hint="give --memory too, and at least as much, or -1 for any amount of swap",
        )
    return limits


def pids(said: int | str | None) -> int | None:
    """How many processes and threads; None where -1, or 0, says that there is no limit. Raises UsageError."""
    try:
        number = -1 if said is None else int(said)
    except ValueError:
        number = -2
    if not -1 <= number <= MOST_PIDS:
        raise UsageError(
            f"pids_limit: {said!r} is not a number of processes",
            hint=f"give 1 to {MOST_PIDS}, or -1 for no limit",
        )
    return number if number > 0 else None


def parse_cpus(said: float | str) -> float:
    """A number of CPUs, whole or not. Raises UsageError."""
    try:
        number = float(said)
    except ValueError:
        number = 0.0
    if not LEAST_CPUS <= number <= MOST_CPUS:
        raise UsageError(
            f"cpus: {said!r} is not a number of CPUs from {LEAST_CPUS:g} to {MOST_CPUS}",
            hint="write 2, or 1.5 for one and a half",
        )
    return number


def shares(said: int | str | None) -> int | None:
    """Its part of the processors; None where 0, or nothing, was said. Raises UsageError."""
    try:
        number = int(said or 0)
    except ValueError:
        number = -1
    if number and not LEAST_SHARES <= number <= MOST_SHARES:
        raise UsageError(
            f"cpu_shares: {said!r} is not a number from {LEAST_SHARES} to {MOST_SHARES}",
            hint="1024 is as much as anybody has",
        )
    return number or None


def cpuset(said: str) -> str:
    """The processors that it may run on, as cpuset(7) writes lists. Raises UsageError."""
    said = said.replace(" ", "")
    bounds = [tuple(map(int, each.split("-"))) for each in said.split(",")] if _CPUSET.fullmatch(said) else ()
    if said and (not bounds or any(each[0] > each[-1] for each in bounds)):
        raise UsageError(f"cpuset_cpus: {said!r} is not a list of processors", hint="write 0, 0-2 or 0,2-3")
    return said


def swap(said: int | str | None) -> int | None:
    """Memory and swap together, in bytes; -1 is any amount of swap. Raises UsageError."""
    if said in (None, 0, "0", ""):
        return None
    assert said is not None
    if said in (-1, "-1"):
        return -1
    try:
        return said if isinstance(said, int) else parse_size(said)
    except UsageError as error:
        raise UsageError(f"memory_swap: {error}", hint=error.hint) from error


def refuse_shares(said: int | None) -> None:
    """Raise UsageError for a share of what nobody else uses."""
    if said is not None:
        raise UsageError(
            f"cpu_shares: {said} of what? a container has the processors of its machine to itself",
            hint="limit them with --cpus",
        )


def refuse_cpuset(said: str) -> None:
    """Raise UsageError for processors of the host that a machine does not know."""
    if cpuset(said):
        raise UsageError(
            "cpuset_cpus: which processors of the host a machine runs on is the host's to choose",
            hint="leave it out",
        )


def check_swap(total: int | None, memory_bytes: int | None) -> None:
    """A machine has no swap, so memory and swap together are what its memory is, as Docker counts them."""
    if total is not None and total != memory_bytes:
        raise UsageError(
            "memory_swap: a machine has no swap",
            hint="give the same size as --memory, which means none, or leave it out",
        )
