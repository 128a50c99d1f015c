"""A point in time as people write it for --since: `10m`, `1h30m` (ago), seconds since 1970, or RFC 3339."""

from __future__ import annotations

import re

from firkin.errors import UsageError
from firkin.units import parse_duration

_SECONDS = re.compile(r"(\d{9,12})(?:\.(\d{1,9}))?")
_FRACTION = re.compile(r"\.(\d{1,9})")


def parse_instant(text: str, now_ns: int) -> int:
    """Nanoseconds since 1970 of `text`; a time without a zone is this host's. Raises UsageError."""
    if seconds := _SECONDS.fullmatch(text):
        return int(seconds[1]) * 1_000_000_000 + _nanoseconds(seconds[2])
    if "-" in text:
        return _calendar(text)
    try:
        return now_ns - int(parse_duration(text) * 1e9)
    except UsageError as error:
        raise _refused(text) from error


def _calendar(text: str) -> int:
    from datetime import datetime

    fraction = _FRACTION.search(text)
    whole = text if fraction is None else text[: fraction.start()] + text[fraction.end() :]
    try:
        moment = datetime.fromisoformat(whole)
        return int(moment.timestamp()) * 1_000_000_000 + _nanoseconds(fraction and fraction[1])
    except (ValueError, OverflowError, OSError) as error:
        raise _refused(text) from error


def _nanoseconds(fraction: str | None) -> int:
    return int((fraction or "0").ljust(9, "0"))


def _refused(text: str) -> UsageError:
    return UsageError(
        f"{text!r} is not a time", hint="write 10m for ten minutes ago, or 2026-01-31T12:00:00Z"
    )
