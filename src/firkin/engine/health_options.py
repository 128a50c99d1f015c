"""HealthOptions: what was asked for of a container's health check, before any image was looked at."""

from __future__ import annotations

import msgspec

from firkin.container.health import OnFailure


class HealthOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. None leaves it to the image, or to the default."""

    test: tuple[str, ...] | None = None
    """() is no check."""
    interval_s: float | None = None
    timeout_s: float | None = None
    retries: int | None = None
    start_period_s: float | None = None
    start_interval_s: float | None = None
    on_failure: OnFailure = "none"


AS_THE_IMAGE = HealthOptions()
