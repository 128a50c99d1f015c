"""The words for a container's limits, with Docker's names: Limits, and the machine's processors, from them.

The rule: what a machine of its own cannot hold to is refused with the reason, never dropped.
"""

from __future__ import annotations

import math
from typing import TypedDict

from firkin.container.limits import Limits
from firkin.errors import UsageError
from firkin.units import parse_size

MOST_CPUS = 256
MOST_PIDS = 4 << 20  # PID_MAX_LIMIT
LEAST_CPUS = 0.01  # the kernel refuses a quota below 1 ms of a period of 100


class LimitWords(TypedDict, total=False):
    """What may be said of the limits of a container."""

    pids_limit: int | str | None
    memory_swap: int | str | None
    cpu_shares: int | str | None


def machine_cpus(cpus: float) -> int:
    """How many processors a machine needs for a container that may use `cpus`."""
    return math.ceil(cpus)


def limits(words: LimitWords, *, cpus: float | None, memory_bytes: int | None) -> Limits:
    """What `words` leave a container that asked for `cpus` and `memory_bytes`. Raises UsageError."""
    refuse_shares(words.get("cpu_shares"))
    check_swap(words.get("memory_swap"), memory_bytes)
    return Limits(
        cpus=None if cpus is None or cpus == machine_cpus(cpus) else cpus,
        pids=pids(words.get("pids_limit")),
    )


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


def refuse_shares(said: int | str | None) -> None:
    """Raise UsageError for a share of what nobody else uses."""
    if said not in (None, 0, "0", ""):
        raise UsageError(
            f"cpu_shares: {said} of what? a container has the processors of its machine to itself",
            hint="limit them with --cpus",
        )


def check_swap(said: int | str | None, memory_bytes: int | None) -> None:
    """A machine has no swap, so memory and swap together are what its memory is, as Docker counts them."""
    if said in (None, 0, "0", ""):
        return
    total = said if isinstance(said, int) else parse_size(said) if said != "-1" else -1
    if total != memory_bytes:
        raise UsageError(
            "memory_swap: a machine has no swap",
            hint="give the same size as --memory, which means none, or leave it out",
        )
