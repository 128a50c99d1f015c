"""Timestamps of facts: RFC 3339 with nanoseconds, as Docker prints them."""

from __future__ import annotations

from datetime import UTC, datetime

NEVER = "0001-01-01T00:00:00Z"


def timestamp(time_ns: int) -> str:
    """That of a time of CLOCK_REALTIME."""
    seconds, nanoseconds = divmod(time_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09}Z"
