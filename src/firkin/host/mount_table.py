"""MountTable: what is mounted, as this process sees it (proc_pid_mountinfo(5))."""

from __future__ import annotations

import msgspec

from firkin.host import reading

_MAX_BYTES = 4 << 20


class Mount(msgspec.Struct, frozen=True):
    target: str
    kind: str
    shared: bool = True


def mounted() -> tuple[Mount, ...]:
    """Every mount, in the order in which they were made."""
    lines = (reading.text("/proc/self/mountinfo", _MAX_BYTES) or "").splitlines()
    return tuple(mount for line in lines if (mount := _parsed(line)))


def _parsed(line: str) -> Mount | None:
    before, dash, after = line.partition(" - ")
    fields = before.split(" ")
    if not dash or len(fields) < 6:
        return None
    shared = any(field.startswith("shared:") for field in fields[6:])
    return Mount(_unescaped(fields[4]), after.split(" ")[0], shared)


def _unescaped(path: str) -> str:
    """The kernel writes space, tab, line end and backslash as octal escapes."""
    for escape, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(escape, char)
    return path
