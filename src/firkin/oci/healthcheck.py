"""ImageHealthCheck: how an image says that its containers are found to be healthy (Docker's `Healthcheck`).

OCI has no such field; Docker, podman and buildah write it into OCI images all the same.
"""

from __future__ import annotations

import msgspec

_LEAST_NS, _MOST_NS = 10**6, 366 * 86400 * 10**9
_MOST_RETRIES = 1 << 31


class ImageHealthCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """`test` begins with NONE, CMD or CMD-SHELL; times are nanoseconds. 0 and () say nothing."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0

    @property
    def is_sound(self) -> bool:
        """Whether it is one that can be run, or none."""
        times = (self.interval, self.timeout, self.start_period, self.start_interval)
        counted = all(ns == 0 or _LEAST_NS <= ns <= _MOST_NS for ns in times)
        return counted and 0 <= self.retries <= _MOST_RETRIES and self._is_test()

    def _is_test(self) -> bool:
        match self.test:
            case () | ("NONE",) | ("CMD-SHELL", _) | ("CMD", _, *_):
                return not any("\0" in word for word in self.test)
        return False

    @property
    def interval_s(self) -> float:
        return self.interval / 1e9

    @property
    def timeout_s(self) -> float:
        return self.timeout / 1e9

    @property
    def start_period_s(self) -> float:
        return self.start_period / 1e9

    @property
    def start_interval_s(self) -> float:
        return self.start_interval / 1e9
