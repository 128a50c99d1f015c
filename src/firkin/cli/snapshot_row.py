"""A snapshot as a row of `firkin snapshot ls`."""

from __future__ import annotations

import time
from typing import Any

from firkin.cli.ago import ago, rfc3339
from firkin.engine.snapshot_summary import SnapshotSummary
from firkin.units import format_size

HEADINGS = {
    "Name": "NAME", "ID": "SNAPSHOT ID", "Container": "CONTAINER", "CreatedSince": "CREATED",
    "Memory": "MEMORY", "Disk": "DISK", "Kind": "KIND", "CreatedAt": "CREATED AT", "Image": "IMAGE",
    "Parent": "PARENT",
}  # fmt: skip
COLUMNS = ("Name", "ID", "Container", "CreatedSince", "Memory", "Disk", "Kind")


def snapshot_row(found: SnapshotSummary, *, shorten: bool, now_ns: int | None = None) -> dict[str, Any]:
    """The fields of one snapshot; `shorten` cuts its ids as the table does."""
    snapshot = found.snapshot
    digits = 12 if shorten else None
    return {
        "Name": snapshot.name,
        "ID": snapshot.id[:digits],
        "Container": snapshot.container_name,
        "CreatedAt": rfc3339(snapshot.created_ns),
        "CreatedSince": ago(snapshot.created_ns, time.time_ns() if now_ns is None else now_ns),
        "Memory": format_size(found.memory_bytes) if found.kind == "full" else "-",
        "Disk": format_size(found.layers_bytes),
        "Kind": found.kind,
        "Image": snapshot.spec.image,
        "Parent": snapshot.parent[:digits],
    }
