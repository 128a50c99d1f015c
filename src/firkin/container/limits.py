"""Limits: what a container may use of its machine, held by a cgroup in the guest."""

from __future__ import annotations

from typing import Annotated

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """None: whatever its machine has."""

    cpus: Annotated[float, msgspec.Meta(ge=0.01, le=1024)] | None = None
    memory_bytes: Annotated[int, msgspec.Meta(ge=1 << 20, le=1 << 50)] | None = None
    pids: Annotated[int, msgspec.Meta(ge=1, le=4 << 20)] | None = None


UNLIMITED = Limits()
