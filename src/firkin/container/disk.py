"""DiskRecord: which file takes a container's writes, and what it stands on."""

from __future__ import annotations

from typing import Annotated

import msgspec

LayerId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class DiskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """disk.json. Where that is missing it is DiskRecord(): a disk that stands on its image alone."""

    top: Annotated[str, msgspec.Meta(pattern=r"^disk(\.[0-9a-f]{16})?\.qcow2$")] = "disk.qcow2"
    """The file in the container's directory that is written to; made by the first start."""
    layers: tuple[LayerId, ...] = ()
    """Those under it, the next one first (container.layers)."""
    parent: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")] = ""
    """The id of the snapshot that it was made into last, rolled back to or started from."""
