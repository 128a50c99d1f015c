"""Resources: what containers may use, and so what their pod's machine needs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

import msgspec

from firkin.engine.limit_words import LEAST_CPUS, MOST_CPUS
from firkin.kube.fields import Fields, bad
from firkin.kube.quantity import parse, parse_bytes

_LEAST_BYTES = 6 << 20
_MIB = 1 << 20


class Resources(msgspec.Struct, frozen=True):
    """Of one container: its limits, and what it is to find there."""

    cpus: float | None = None
    memory_bytes: int | None = None
    wants_cpus: Fraction = Fraction(0)
    wants_bytes: int = 0


def resources(said: Fields | None) -> Resources:
    """`resources` of a container. Raises UsageError."""
    if said is None:
        return Resources()
    with said:
        cpus, memory = _amounts(said, "limits")
        asked_cpus, asked_memory = _amounts(said, "requests")
        _check_order(said, "cpu", asked_cpus, cpus)
        _check_order(said, "memory", asked_memory, memory)
        return Resources(
            cpus=None if cpus is None else float(cpus),
            memory_bytes=memory,
            wants_cpus=max(cpus or Fraction(0), asked_cpus or Fraction(0)),
            wants_bytes=max(memory or 0, asked_memory or 0),
        )


def _check_order(said: Fields, name: str, asked: Fraction | int | None, most: Fraction | int | None) -> None:
    if asked is not None and most is not None and asked > most:
        raise bad(said.at(f"requests.{name}"), "it is more than the limit", "ask for less")


def machine(
    running: Iterable[Resources], initial: Iterable[Resources], *, memory_bytes: int, cpus: int
) -> tuple[int, int]:
    """The memory and the processors of a pod's machine; one that asks for nothing has so much.

    The machine's own share of memory, and of those that ask for nothing, comes on top.
    """
    running, initial = list(running), list(initial)
    wants = max([sum(each.wants_bytes for each in running), *(each.wants_bytes for each in initial)])
    wants_cpus = max([sum(each.wants_cpus for each in running), *(each.wants_cpus for each in initial)])
    return memory_bytes + math.ceil(wants / _MIB) * _MIB, max(cpus, math.ceil(wants_cpus))


def _amounts(said: Fields, name: str) -> tuple[Fraction | None, int | None]:
    inner = said.map(name)
    if inner is None:
        return None, None
    with inner:
        cpu, memory = inner.take("cpu"), inner.take("memory")
        cpus = None if cpu is None else parse(inner.at("cpu"), cpu)
        size = None if memory is None else parse_bytes(inner.at("memory"), memory)
        if name == "limits" and cpus is not None and not Fraction(str(LEAST_CPUS)) <= cpus <= MOST_CPUS:
            raise bad(inner.at("cpu"), f"{cpu!r} is out of range", f"choose from 10m to {MOST_CPUS}")
        if name == "limits" and size is not None and size < _LEAST_BYTES:
            raise bad(inner.at("memory"), f"{memory!r} is too little for a process", "give 6Mi or more")
        return cpus, size
