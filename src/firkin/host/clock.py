"""Clock: not before this firkin was written, and kept right by somebody (adjtimex(2))."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator

import msgspec

from firkin.faults import kernel
from firkin.faults.fault import Finding
from firkin.host.asker import Asker
from firkin.linux.syscalls import libc

_TIMEX_LONGS = 64
"""More than struct timex has; modes, its first, is 0: only ask."""
_ERROR = 5  # TIME_ERROR: not synchronised
_DAY_S = 86_400.0
_END_S = 4_102_444_800.0
"""2100-01-01."""


class Facts(msgspec.Struct, frozen=True):
    """`written_s` is when this firkin was written to this disk at the latest."""

    now_s: float = 1_800_000_000.0
    written_s: float = 1_750_000_000.0
    synchronised: bool = True


def gather(asker: Asker) -> Facts:
    state = libc().adjtimex((ctypes.c_long * _TIMEX_LONGS)())
    return Facts(time.time(), _written_s(), state != _ERROR)


def _written_s() -> float:
    try:
        return os.stat(__file__).st_mtime
    except OSError:
        return 0.0


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    if not facts.written_s - _DAY_S <= facts.now_s < _END_S:
        now, written = (
            time.strftime("%Y-%m-%d %H:%M", time.gmtime(max(0.0, each)))
            for each in (facts.now_s, facts.written_s)
        )
        yield kernel.CLOCK_WRONG.found(f"it is {now} UTC, says the clock, but this firkin is of {written}")
    elif not facts.synchronised:
        yield kernel.CLOCK_UNSYNCHRONISED.found()
