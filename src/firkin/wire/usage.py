"""What the agent is told to limit in a container's cgroup, and what it says was used there."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from firkin.wire.messages import Op, Word

MOST_INTERFACES = 64
Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Limit(Op, frozen=True, kw_only=True):
    """What a container may use from now on: 0 is no limit, None leaves it as it is."""

    op: ClassVar[str] = "limit"
    container: str
    memory_bytes: int | None = None
    cpu_quota_us: int | None = None
    """In each CPU_PERIOD_US."""
    pids: int | None = None


CPU_PERIOD_US = 100_000


class Stats(Op, frozen=True, kw_only=True):
    """Answer: Usage."""

    op: ClassVar[str] = "stats"
    container: str


class CpuUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Time of processors. Of `periods`, `throttled_periods` met the limit."""

    usage_us: Count
    user_us: Count
    system_us: Count
    periods: Count
    throttled_periods: Count
    throttled_us: Count
    online: Count
    """How many processors the machine has."""


class MemoryUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Memory of its processes, of its files in the cache, and of the kernel for both."""

    current_bytes: Count
    peak_bytes: Count | None
    limit_bytes: Count | None
    anon_bytes: Count
    file_bytes: Count
    inactive_file_bytes: Count
    kernel_bytes: Count
    oom_kills: Count
    machine_bytes: Count
    """What the machine has."""

    @property
    def used_bytes(self) -> int:
        """As `docker stats` counts it: without the part of the cache that goes first."""
        return max(0, self.current_bytes - self.inactive_file_bytes)

    @property
    def most_bytes(self) -> int:
        """Its limit, which is at most what the machine has."""
        return min(self.machine_bytes, self.limit_bytes or self.machine_bytes)


class IoUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What it read from and wrote to block devices."""

    read_bytes: Count
    write_bytes: Count
    read_ops: Count
    write_ops: Count


class PidsUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Processes and threads."""

    current: Count
    limit: Count | None


class InterfaceUsage(msgspec.Struct, frozen=True, kw_only=True):
    """One network interface of its machine."""

    name: Word
    rx_bytes: Count
    rx_packets: Count
    rx_errors: Count
    rx_dropped: Count
    tx_bytes: Count
    tx_packets: Count
    tx_errors: Count
    tx_dropped: Count


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a container has used until `time_us` of its machine's monotonic clock."""

    time_us: Count
    cpu: CpuUsage
    memory: MemoryUsage
    io: IoUsage
    pids: PidsUsage
    interfaces: Annotated[tuple[InterfaceUsage, ...], msgspec.Meta(max_length=MOST_INTERFACES)]
    vmm_rss_bytes: Count = 0
    """What its VMM takes of the host's memory; not the guest's word, but the host kernel's."""

    def cpu_percent(self, before: Usage) -> float:
        """How busy it was since `before`: 100 is one processor."""
        passed_us = self.time_us - before.time_us
        return 100 * max(0, self.cpu.usage_us - before.cpu.usage_us) / passed_us if passed_us > 0 else 0.0
