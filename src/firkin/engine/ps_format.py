"""PsFormat: what the operands of `ps` ask to be shown of processes, of the part of it that people use.

    (nothing)  -e -A -f -ef  aux axu ax  -o LIST  -eo LIST  o LIST       LIST: pid,comm or pid=Number,...
    pid comm ...                                                           columns alone, as podman takes them

The rule: what is not known is refused with what is. Users are numbers: their names are the image's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from firkin.errors import UsageError
from firkin.wire.messages import ProcessRow

TICKS_A_SECOND = 100  # USER_HZ, the same on every Linux that a machine here runs
_DAY_S = 86400


class Seen(msgspec.Struct, frozen=True):
    """A process, when it was seen by the clock of this host, and its machine's memory."""

    row: ProcessRow
    now_s: float
    memory_bytes: int

    @property
    def cpu_s(self) -> int:
        return (self.row.utime_ticks + self.row.stime_ticks) // TICKS_A_SECOND

    @property
    def lived_s(self) -> float:
        return self.row.age_ticks / TICKS_A_SECOND

    @property
    def cpu_percent(self) -> float:
        used = (self.row.utime_ticks + self.row.stime_ticks) / TICKS_A_SECOND
        return 100 * used / self.lived_s if self.lived_s else 0.0


class Column(msgspec.Struct, frozen=True):
    title: str
    text: Callable[[Seen], str]


def parse(operands: Sequence[str]) -> tuple[Column, ...]:
    """The columns that `operands` ask for. Raises UsageError, which says what is known."""
    if operands and all(each in _COLUMNS for each in operands):
        return tuple(_COLUMNS[each] for each in operands)
    left = list(operands)
    columns: list[Column] = []
    preset: tuple[str, ...] = ()
    while left:
        operand = left.pop(0)
        letters = operand.removeprefix("-")
        if operand.startswith("--") or not letters:
            raise _unknown(operand)
        if "o" in letters:
            selecting, _, attached = letters.partition("o")
            if set(selecting) - set("eA"):
                raise _unknown(operand)
            if not attached and not left:
                raise UsageError(f"ps options: {operand} without what to show", hint="write -o pid,comm")
            columns += _listed(attached or left.pop(0))
        elif letters in _PRESETS:
            preset = preset if preset and letters in "eA" else _PRESETS[letters]
        else:
            raise _unknown(operand)
    if columns and preset in (_FULL, _USER):
        raise UsageError("ps options: a full format and -o contradict each other", hint="choose one of them")
    return tuple(columns) or tuple(_COLUMNS[name] for name in preset or _PRESETS["ef"])


def _listed(text: str) -> list[Column]:
    """Those of `pid,comm`; `pid=Number` ends the list with a title of its own, as ps has it."""
    before, equals, title = text.partition("=")
    found = []
    for name in before.replace(",", " ").split():
        if name not in _COLUMNS:
            raise UsageError(
                f"ps options: there is no column {name!r}", hint=f"columns: {', '.join(sorted(_COLUMNS))}"
            )
        found.append(_COLUMNS[name])
    if not found:
        raise UsageError("ps options: -o without a column", hint="write -o pid,comm")
    if equals:
        found[-1] = msgspec.structs.replace(found[-1], title=title)
    return found


def _unknown(operand: str) -> UsageError:
    return UsageError(
        f"ps options: {operand!r} is not known here",
        hint="known are -e, -A, -f, -ef, ax, aux, and -o (or -eo) with a list of columns, or columns alone",
    )


def _clock(seconds: float, *, hours: bool) -> str:
    """`[DD-]HH:MM:SS`, without the hours where they are 0 and need not be there."""
    days, rest = divmod(int(seconds), _DAY_S)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    if days:
        return f"{days}-{text}"
    return text if hours or rest >= 3600 else text[3:]


def _started(seen: Seen) -> str:
    """The time of day, or the day where that was another."""
    began = datetime.fromtimestamp(seen.now_s - seen.lived_s).astimezone()
    today = datetime.fromtimestamp(seen.now_s).astimezone().date()
    return began.strftime("%H:%M" if began.date() == today else "%b%d")


def _column(title: str, text: Callable[[Seen], object]) -> Column:
    return Column(title, lambda seen: str(text(seen)))


_PID = _column("PID", lambda seen: seen.row.pid)
_PPID = _column("PPID", lambda seen: seen.row.ppid)
_UID = _column("UID", lambda seen: seen.row.uid)
_GID = _column("GID", lambda seen: seen.row.gid)
_CPU = _column("%CPU", lambda seen: f"{seen.cpu_percent:.1f}")
_C = _column("C", lambda seen: int(seen.cpu_percent))
_MEM = _column("%MEM", lambda seen: f"{100 * seen.row.rss_bytes / seen.memory_bytes:.1f}")
_RSS = _column("RSS", lambda seen: seen.row.rss_bytes >> 10)
_VSZ = _column("VSZ", lambda seen: seen.row.vsz_bytes >> 10)
_TTY = _column("TTY", lambda seen: seen.row.tty or "?")
_STATE = _column("S", lambda seen: seen.row.state)
_TIME = _column("TIME", lambda seen: _clock(seen.cpu_s, hours=True))
_BSD_TIME = _column("TIME", lambda seen: f"{seen.cpu_s // 60}:{seen.cpu_s % 60:02}")
_STIME = _column("STIME", _started)
_COMM = _column("COMMAND", lambda seen: seen.row.comm)
_CMD = _column("CMD", lambda seen: " ".join(seen.row.args))


def _called(column: Column, title: str) -> Column:
    return msgspec.structs.replace(column, title=title)


_COLUMNS: dict[str, Column] = {
    "pid": _PID, "ppid": _PPID,
    **{name: _called(_UID, name.upper()) for name in ("uid", "euid", "user", "euser")},
    **{name: _called(_GID, name.upper()) for name in ("gid", "egid", "group", "egroup")},
    "pcpu": _CPU, "%cpu": _CPU, "c": _C, "pmem": _MEM, "%mem": _MEM,
    "rss": _RSS, "rssize": _RSS, "vsz": _VSZ, "vsize": _VSZ,
    "tty": _TTY, "tt": _called(_TTY, "TT"), "tname": _TTY,
    "s": _STATE, "state": _STATE, "stat": _called(_STATE, "STAT"),
    "time": _TIME, "cputime": _TIME, "bsdtime": _BSD_TIME,
    "etime": _column("ELAPSED", lambda seen: _clock(seen.lived_s, hours=False)),
    "etimes": _column("ELAPSED", lambda seen: int(seen.lived_s)),
    "stime": _STIME, "start": _called(_STIME, "START"), "start_time": _called(_STIME, "START"),
    "comm": _COMM, "ucmd": _called(_COMM, "CMD"), "ucomm": _COMM,
    "args": _called(_CMD, "COMMAND"), "cmd": _CMD, "command": _called(_CMD, "COMMAND"),
}  # fmt: skip
_FULL = ("uid", "pid", "ppid", "c", "stime", "tty", "time", "cmd")
_USER = ("user", "pid", "%cpu", "%mem", "vsz", "rss", "tty", "stat", "start", "bsdtime", "command")
_PRESETS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("e", "A"), ("pid", "tty", "time", "ucmd")),
    **dict.fromkeys(("f", "ef", "fe", "Af", "fA"), _FULL),
    **dict.fromkeys(("aux", "axu", "uax", "au", "u"), _USER),
    **dict.fromkeys(("ax", "a", "x"), ("pid", "tty", "stat", "bsdtime", "command")),
}
