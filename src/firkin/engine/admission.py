"""Admission: whether this host carries so many more machines, told before anything is made.

    every machine     VMM_BYTES, and SHARE of its guest's memory: guests write to less than they have
    the host          keeps RESERVE of its memory, and DISK_RESERVE_BYTES of the disk

The rule: a refusal names what is asked for, what there is and what is kept, so that a person can choose a
number that fits. What is admitted may still run out, when every guest writes to all of its memory.
"""

from __future__ import annotations

from fractions import Fraction

import msgspec

from firkin.container.spec import ContainerSpec
from firkin.errors import MemoryFull, StorageFull
from firkin.linux import pressure
from firkin.paths import Paths
from firkin.store.files import free_bytes
from firkin.units import format_size

VMM_BYTES = 40 << 20
"""What a VMM needs beside its guest's memory."""
SHARE = Fraction(1, 2)
RESERVE = Fraction(1, 16)
DISK_RESERVE_BYTES = 256 << 20
DISK_BYTES = 16 << 20
"""What a machine's disk, state and log are expected to take at the least."""


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What this host has now, or the control group that we are in, where that has less. In bytes."""

    memory_bytes: int
    available_bytes: int
    """What can be had without swapping."""
    disk_free_bytes: int
    """Of the disk that containers are on."""

    @property
    def reserve_bytes(self) -> int:
        """The memory that no machine is started into."""
        return int(self.memory_bytes * RESERVE)

    @property
    def room_bytes(self) -> int:
        """The memory that new machines may take."""
        return max(0, self.available_bytes - self.reserve_bytes)


def machine_bytes(memory_bytes: int) -> int:
    """What one more machine, whose guest has `memory_bytes`, is expected to take of the host's."""
    return VMM_BYTES + int(memory_bytes * SHARE)


def estimate_bytes(spec: ContainerSpec) -> int:
    """The memory that one more machine of `spec` is expected to take."""
    return machine_bytes(spec.memory_bytes)


def admit(n: int, spec: ContainerSpec, facts: HostFacts) -> None:
    """Return where `n` more machines of `spec` fit on a host of `facts`. Raises MemoryFull, StorageFull."""
    each = estimate_bytes(spec)
    if n * each > facts.room_bytes:
        raise MemoryFull(
            f"{_machines(n)} of {format_size(spec.memory_bytes)} {_need(n)} {format_size(n * each)} of "
            f"memory ({format_size(each)} each); {format_size(facts.available_bytes)} are available, of "
            f"which {format_size(facts.reserve_bytes)} are kept free",
            hint=f"ask for at most {facts.room_bytes // each}, or give them less memory",
        )
    needed = n * DISK_BYTES + DISK_RESERVE_BYTES
    if needed > facts.disk_free_bytes:
        raise StorageFull(
            f"{_machines(n)} {_need(n)} {format_size(n * DISK_BYTES)} of disk; "
            f"{format_size(facts.disk_free_bytes)} are left, of which {format_size(DISK_RESERVE_BYTES)} are "
            "kept free",
            hint="free some space: firkin prune",
        )


def host_facts(paths: Paths) -> HostFacts:
    """What this host has now. Raises HostUnsupported where the kernel does not tell."""
    memory, free = pressure.memory(), free_bytes(paths.containers_dir)
    return HostFacts(
        memory_bytes=memory.total_bytes,
        available_bytes=memory.available_bytes,
        disk_free_bytes=0 if free is None else free,
    )


def _need(n: int) -> str:
    return "needs" if n == 1 else "need"


def _machines(n: int) -> str:
    return f"{n} machine" if n == 1 else f"{n} machines"
