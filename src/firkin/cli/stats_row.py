"""A row of `firkin stats`: Docker's fields, and what the machine takes of the host."""

from __future__ import annotations

from typing import Any

from firkin.units import format_size
from firkin.wire.usage import Usage

HEADINGS = {
    "Container": "CONTAINER", "ID": "CONTAINER ID", "Name": "NAME", "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT", "MemPerc": "MEM %", "NetIO": "NET I/O", "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS", "HostMem": "HOST MEM",
}  # fmt: skip
COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs", "HostMem")
_ABSENT = "--"


def stats_row(
    container: str, id: str, name: str, usage: Usage | None, before: Usage | None
) -> dict[str, Any]:
    """The fields of one container that was called `container`; without `usage` it does not run."""
    who = {"Container": container, "ID": id, "Name": name}
    if usage is None:
        return who | dict.fromkeys(HEADINGS.keys() - who.keys(), _ABSENT)
    memory = usage.memory
    network = [each for each in usage.interfaces if each.name != "lo"]
    return who | {
        "CPUPerc": f"{usage.cpu_percent(before):.2f}%" if before is not None else _ABSENT,
        "MemUsage": f"{_binary(memory.used_bytes)} / {_binary(memory.most_bytes)}",
        "MemPerc": f"{100 * memory.used_bytes / memory.most_bytes if memory.most_bytes else 0:.2f}%",
        "NetIO": _pair(sum(each.rx_bytes for each in network), sum(each.tx_bytes for each in network)),
        "BlockIO": _pair(usage.io.read_bytes, usage.io.write_bytes),
        "PIDs": usage.pids.current,
        "HostMem": _binary(usage.vmm_rss_bytes),
    }


def _pair(came: int, went: int) -> str:
    return f"{format_size(came)} / {format_size(went)}"


def _binary(size_bytes: int) -> str:
    """In powers of 1024 with four digits, as `docker stats` prints memory: 1.5MiB."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1023.5:
            return f"{value:.4g}{unit}"
        value /= 1024
    return f"{value:.4g}TiB"
