"""Times as people say them: `About a minute`, `3 weeks`, and in RFC 3339 for machines."""

from __future__ import annotations

import time

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def duration(seconds: float) -> str:
    """`seconds` in the words that `docker ps` uses."""
    if seconds < 1:
        return "Less than a second"
    if seconds < _MINUTE:
        return _plural(int(seconds), "second")
    if seconds < 2 * _MINUTE:
        return "About a minute"
    if seconds < _HOUR:
        return f"{int(seconds / _MINUTE)} minutes"
    hours = round(seconds / _HOUR)
    if hours == 1:
        return "About an hour"
    for unit, name, until in (
        (_HOUR, "hour", 2 * _DAY),
        (_DAY, "day", 14 * _DAY),
        (7 * _DAY, "week", 60 * _DAY),
    ):
        if hours * _HOUR < until:
            return _plural(hours * _HOUR // unit, name)
    months = hours * _HOUR // (30 * _DAY)
    return _plural(months, "month") if months < 24 else _plural(hours * _HOUR // (365 * _DAY), "year")


def ago(then_ns: int | None, now_ns: int | None = None) -> str:
    """How long before now `then_ns` (CLOCK_REALTIME) was; "" where it is unknown."""
    if then_ns is None:
        return ""
    now = time.time_ns() if now_ns is None else now_ns
    return duration(max(0.0, (now - then_ns) / 1e9)) + " ago"


def rfc3339(time_ns: int) -> str:
    """`time_ns` (CLOCK_REALTIME) in UTC with nanoseconds: 2026-01-02T03:04:05.000000006Z."""
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09d}Z"


def _plural(count: int, unit: str) -> str:
    return f"{count} {unit}" + ("" if count == 1 else "s")
