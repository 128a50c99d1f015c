"""An image as a row of `firkin images`: Docker's fields, from the engine's summary."""

from __future__ import annotations

import time
from typing import Any

from firkin.cli.ago import ago
from firkin.cli.instant import parse_instant
from firkin.engine.image_summary import ImageSummary
from firkin.errors import UsageError
from firkin.units import format_size

HEADINGS = {
    "ID": "IMAGE ID", "Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT", "Size": "SIZE", "Platform": "PLATFORM",
}  # fmt: skip
COLUMNS = ("Repository", "Tag", "ID", "CreatedSince", "Size")


def image_row(summary: ImageSummary, *, shorten: bool, now_ns: int | None = None) -> dict[str, Any]:
    """The fields of one image; `shorten` cuts its id as the table does."""
    now = time.time_ns() if now_ns is None else now_ns
    return {
        "ID": summary.id.partition(":")[2][:12] if shorten else summary.id,
        "Repository": summary.repository,
        "Tag": summary.tag,
        "Digest": summary.digest,
        "CreatedSince": ago(_created_ns(summary.created, now), now),
        "CreatedAt": summary.created,
        "Size": format_size(summary.size_bytes),
        "Platform": summary.platform,
    }


def _created_ns(created: str, now_ns: int) -> int | None:
    """None where an image's config holds no date, or something else."""
    try:
        return parse_instant(created, now_ns) if created else None
    except UsageError:
        return None
