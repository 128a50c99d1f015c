"""What a container in namespaces has used: by its control groups, and by its network namespace."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from firkin.errors import HostUnsupported
from firkin.faults.kernel import CGROUPS_UNDELEGATED
from firkin.linux import pressure
from firkin.linux.cgroup.counts import Counts, counts_of
from firkin.machine.namespace.namespace import Namespace
from firkin.wire.usage import (
    MOST_INTERFACES,
    CpuUsage,
    InterfaceUsage,
    IoUsage,
    MemoryUsage,
    PidsUsage,
    Usage,
)

_FILE_BYTES = 1 << 16


def usage_in_namespaces(namespace: Namespace) -> Usage:
    """What its container has used until now. Raises HostUnsupported where it is in no control group."""
    if namespace.group is None:
        raise HostUnsupported(
            f"nothing counts what container {namespace.name!r} uses: it is in no control group of its own",
            hint=f"{CGROUPS_UNDELEGATED.more}; `firkin top` shows its processes",
        )
    counts = counts_of(namespace.group)
    return Usage(
        time_us=time.monotonic_ns() // 1000,
        cpu=_cpu(counts),
        memory=_memory(counts),
        io=IoUsage(
            read_bytes=counts.read_bytes,
            write_bytes=counts.write_bytes,
            read_ops=counts.read_ops,
            write_ops=counts.write_ops,
        ),
        pids=PidsUsage(current=counts.pids, limit=counts.pids_limit),
        interfaces=tuple(_interfaces(namespace.pid))[:MOST_INTERFACES],
    )


def _cpu(counts: Counts) -> CpuUsage:
    return CpuUsage(
        usage_us=counts.usage_us,
        user_us=counts.user_us,
        system_us=counts.system_us,
        periods=counts.periods,
        throttled_periods=counts.throttled_periods,
        throttled_us=counts.throttled_us,
        online=os.sysconf("SC_NPROCESSORS_ONLN"),
    )


def _memory(counts: Counts) -> MemoryUsage:
    return MemoryUsage(
        current_bytes=counts.current_bytes,
        peak_bytes=counts.peak_bytes,
        limit_bytes=counts.limit_bytes,
        anon_bytes=counts.anon_bytes,
        file_bytes=counts.file_bytes,
        inactive_file_bytes=counts.inactive_file_bytes,
        kernel_bytes=counts.kernel_bytes,
        oom_kills=counts.oom_kills,
        machine_bytes=pressure.memory().total_bytes,
    )


def _interfaces(pid: int) -> Iterator[InterfaceUsage]:
    """Of the network namespace of process `pid`, by proc_pid_net(5)."""
    try:
        with open(f"/proc/{pid}/net/dev", "rb") as file:
            lines = file.read(_FILE_BYTES).decode("ascii", "replace").splitlines()
    except OSError:
        return
    for line in lines[2:]:
        name, _, told = line.partition(":")
        counts = [int(word) for word in told.split()]
        received, sent = counts[:8], counts[8:]
        yield InterfaceUsage(
            name=name.strip(),
            rx_bytes=received[0],
            rx_packets=received[1],
            rx_errors=received[2],
            rx_dropped=received[3],
            tx_bytes=sent[0],
            tx_packets=sent[1],
            tx_errors=sent[2],
            tx_dropped=sent[3],
        )
