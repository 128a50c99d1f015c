"""A boot log: all that a machine's console says, for whoever asked for it.

The rule: it is bounded however much the guest prints, is the user's alone, and what a terminal would obey
never reaches one. That it cannot be written costs the log, not the machine.
"""

from __future__ import annotations

import os

from firkin.events import event

MAX_BYTES = 16 << 20
_CUT = b"\n[firkin: the boot log is full]\n"


class BootLog:
    """The file at `path`, made where it is missing, or standard error for `-`. Whoever opens it closes it."""

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        self._path = path
        self._is_terminal = False
        self._written = 0
        if path == "-":
            self._fd = os.dup(2)
            self._is_terminal = os.isatty(self._fd)
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        self._fd = os.open(path, flags, 0o600)
        self._written = os.fstat(self._fd).st_size

    def write(self, data: bytes) -> None:
        """Append what fits."""
        if self._fd < 0:
            return
        if self._path == "-":
            data = _shown(data, b"\r\n" if self._is_terminal else b"\n")
        full = self._written + len(data) > MAX_BYTES
        try:
            self._written += os.write(self._fd, _CUT if full else data)
        except OSError as error:
            event("machine.boot_log_lost", path=self._path, error=error)
            full = True
        if full:
            self.close()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _shown(data: bytes, line_end: bytes) -> bytes:
    """`data` without what a terminal would obey."""
    text = data.decode("utf-8", "replace").replace("\r", "")
    shown = "".join(char if char.isprintable() or char in "\n\t" else "?" for char in text)
    return shown.encode().replace(b"\n", line_end)
