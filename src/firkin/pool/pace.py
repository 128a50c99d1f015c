"""Pace: when something may be made for stock. What somebody waits for is made at once."""

from __future__ import annotations

LET_GO_FIRST_S = 0.1
"""For so long after a lease nothing is made, so that what was leased does its first work undisturbed."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""For so long after a failure nothing is made; twice as long after each one that follows it."""


class Pace:
    """All times are of one clock, in seconds."""

    def __init__(self) -> None:
        self._pause_s = 0.0
        self._paused_until = 0.0
        self._leased_until: float | None = None

    def leased(self, now: float) -> None:
        """A machine was leased. Many leases in a row delay no more than the first of them does."""
        if self._leased_until is None:
            self._leased_until = now + LET_GO_FIRST_S

    def failed(self, now: float) -> None:
        """One could not be made, or died."""
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s or FIRST_PAUSE_S)
        self._paused_until = now + self._pause_s

    def made(self) -> None:
        """One was made: the next failure is a first one again."""
        self._pause_s = self._paused_until = 0.0

    def begun(self) -> None:
        """The making of one has begun."""
        self._leased_until = None

    def rest_s(self, now: float) -> float:
        """How long nothing is to be made from now on."""
        return max(0.0, self._paused_until - now, (self._leased_until or 0.0) - now)
