"""Stats: what a pool has now, and how it served so far."""

from __future__ import annotations

import statistics
from collections import deque

import msgspec

from firkin.pool.bounds import Counts

_REMEMBERED = 512
"""Of so many leases the times are kept."""


class PoolStats(msgspec.Struct, frozen=True, kw_only=True):
    """A pool at one moment. Counts are of machines, or since the pool was opened."""

    ready: int
    """Idle ones, to be leased at once."""
    filling: int
    """Being made ready."""
    leased: int
    ending: int
    waiting: int
    """Calls of lease() that wait for one."""
    hits: int
    """Leases that found one ready."""
    misses: int
    """Leases that found none, whether they waited, were refused, or gave up."""
    evicted: int
    """Idle ones that were ended because the host needs what they took, or because they were too many."""
    died: int
    """Idle ones that ended by themselves, and ones that did not wake."""
    failures: int
    """Ones that could not be made."""
    last_failure: str
    """Why the last of `died` and `failures` was one; "" after one was made."""
    pressure: str
    """Why fewer are made than are missing; "" where nothing keeps it from that."""
    last_lease_s: float | None
    """How long the last successful lease() took, and in the median the last 512."""
    median_lease_s: float | None

    @property
    def hit_rate(self) -> float | None:
        """The share of leases that found one ready; None before the first."""
        leases = self.hits + self.misses
        return self.hits / leases if leases else None


class Tally:
    """What is counted while a pool is open."""

    def __init__(self) -> None:
        self.hits = self.misses = self.evicted = self.died = self.failures = 0
        self.failure: Exception | None = None
        self._times: deque[float] = deque(maxlen=_REMEMBERED)

    def leased(self, took_s: float) -> None:
        """One was leased after so long."""
        self._times.append(took_s)

    def failed(self, error: Exception) -> None:
        """One died or could not be made, because of `error`."""
        self.failure = error

    def made(self) -> None:
        """One was made: what failed before is over."""
        self.failure = None

    def stats(self, counts: Counts, pressure: str) -> PoolStats:
        """All of it, with what the pool has now."""
        return PoolStats(
            ready=counts.idle,
            filling=counts.filling,
            leased=counts.leased,
            ending=counts.ending,
            waiting=counts.waiting,
            hits=self.hits,
            misses=self.misses,
            evicted=self.evicted,
            died=self.died,
            failures=self.failures,
            last_failure="" if self.failure is None else str(self.failure),
            pressure=pressure,
            last_lease_s=self._times[-1] if self._times else None,
            median_lease_s=statistics.median(self._times) if self._times else None,
        )
