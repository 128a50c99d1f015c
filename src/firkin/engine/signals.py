"""Signal: how people write one (`TERM`, `SIGTERM`, `15`, `RTMIN+3`), and its number in a Linux guest."""

from __future__ import annotations

import re
import signal

from firkin.errors import UsageError

_REAL_TIME = re.compile(r"RT(MIN|MAX)(?:([+-])(\d{1,2}))?")
_FIRST, _RTMIN, _LAST = 1, 34, 64  # signal(7) as a program that uses glibc or musl sees it


def parse_signal(word: str | int) -> int:
    """The number of the signal that `word` writes, in any case, with or without SIG. Raises UsageError."""
    text = str(word).strip().upper().removeprefix("SIG")
    number = int(text) if text.isascii() and text.isdigit() else _named(text)
    if number is None or not _FIRST <= number <= _LAST:
        raise UsageError(
            f"{word!r} is not a signal", hint="write a name such as TERM, or a number from 1 to 64"
        )
    return number


def _named(name: str) -> int | None:
    if found := _REAL_TIME.fullmatch(name):
        start = _RTMIN if found[1] == "MIN" else _LAST
        offset = int(found[3] or 0)
        number = start - offset if found[2] == "-" else start + offset
        return number if number >= _RTMIN else None
    known = getattr(signal, "SIG" + name, None)
    return int(known) if isinstance(known, signal.Signals) else None
