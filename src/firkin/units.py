"""Sizes and durations as people write them: `512m`, `1.5g`, `30s`, `1m30s`, and back."""

from __future__ import annotations

import re

from firkin.errors import UsageError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(rf"(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}(?:s|$))?(?:{_NUMBER}ms)?")


def parse_size(text: str) -> int:
    """Bytes of `text`: a number and b, k, m, g or t, powers of 1024, as Docker reads them.

    Raises UsageError.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{text!r} is not a size", hint="write a number and b, k, m, g or t, such as 512m or 1.5g"
        )
    return int(float(match[1]) * 1024 ** _POWER[match[2].lower()])


def format_size(size_bytes: int) -> str:
    """`size_bytes` in decimal units with three digits, as `docker images` prints it: 126MB, 1.42kB."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.4g}TB"


def parse_duration(text: str) -> float:
    """Seconds of `text`: `10`, `1.5s`, `2m`, `1h30m`, `500ms`. Raises UsageError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise UsageError(f"{text!r} is not a duration", hint="write seconds, or 90s, 2m, 1h30m")
    hours, minutes, seconds, milliseconds = (float(group or 0) for group in match.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
