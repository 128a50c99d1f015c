"""A volume as a row of `firkin volume ls`, with Docker's fields, and which of them are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from firkin.cli.object_filter import object_filter
from firkin.engine.volume_summary import VolumeSummary, mountpoint
from firkin.paths import Paths
from firkin.units import format_size

HEADINGS = {
    "Driver": "DRIVER", "Name": "VOLUME NAME", "Links": "LINKS", "Size": "SIZE", "Labels": "LABELS",
    "Mountpoint": "MOUNTPOINT", "Scope": "SCOPE",
}  # fmt: skip
COLUMNS = ("Driver", "Name", "Links", "Size")


def volume_row(found: VolumeSummary, paths: Paths) -> dict[str, Any]:
    """The fields of one volume."""
    record = found.record
    return {
        "Driver": record.driver,
        "Name": record.name,
        "Links": str(len(found.containers)),
        "Size": format_size(found.disk_bytes),
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(record.labels.items())),
        "Mountpoint": str(mountpoint(paths, record)),
        "Scope": "local",
    }


def volume_filter(filters: Iterable[str]) -> Callable[[VolumeSummary], bool]:
    """Whether a volume is what all of `filters` want. Raises UsageError for one that is none."""
    return object_filter(filters, _own, "write name=TEXT, driver=NAME, label=NAME[=VALUE] or dangling=true")


def _own(key: str, value: str) -> Callable[[VolumeSummary], bool] | None:
    return (lambda found: value == found.record.driver) if key == "driver" else None
