"""A private network as a row of `firkin network ls`, with Docker's fields, and which of them are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from firkin.cli.object_filter import object_filter
from firkin.engine.networks import NetworkSummary

HEADINGS = {
    "ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Subnet": "SUBNET", "IPv6": "IPV6",
    "Internal": "INTERNAL", "Links": "LINKS", "Labels": "LABELS", "Scope": "SCOPE",
}  # fmt: skip
COLUMNS = ("ID", "Name", "Driver", "Subnet", "Links")


def network_row(found: NetworkSummary, *, whole: bool) -> dict[str, Any]:
    """The fields of one network."""
    record = found.record
    return {
        "ID": record.id if whole else record.id[:12],
        "Name": record.name,
        "Driver": "switch",
        "Subnet": ",".join(record.subnets),
        "IPv6": "true" if record.subnet6 else "false",
        "Internal": "true" if record.internal else "false",
        "Links": str(len(found.containers)),
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(record.labels.items())),
        "Scope": "local",
    }


def network_filter(filters: Iterable[str]) -> Callable[[NetworkSummary], bool]:
    """Whether a network is what all of `filters` want. Raises UsageError for one that is none."""
    hint = "write name=TEXT, id=DIGITS, driver=NAME, label=NAME[=VALUE] or dangling=true"
    return object_filter(filters, _own, hint)


def _own(key: str, value: str) -> Callable[[NetworkSummary], bool] | None:
    if key == "id":
        return lambda found: found.record.id.startswith(value)
    if key == "driver":
        return lambda _: value in ("switch", "bridge")
    return None
