"""Door: where the supervisor's clients come in, a socket that systemd made or one of our own.

                    path is systemd's          path is anything else
    handed over     serve it                   serve it, for who waits there, and one of our own at the path
    not             leave: it starts its own   one of our own

The rule: what lies at the path is removed by whoever made it, and only while it is that.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from firkin.linux.unix_socket import connect, listen


def is_answered(path: Path) -> bool:
    """Whether somebody listens at `path`: a supervisor, or systemd, which starts one for who connects."""
    try:
        connect(path).close()
    except OSError:
        return False
    return True


class Door:
    """Open from the beginning. `listeners` are what is to be accepted from, not blocking. Raises OSError."""

    def __init__(self, path: Path, handed: socket.socket | None = None) -> None:
        self._path = path
        self._ours: tuple[int, int] | None = None
        self.listeners = [] if handed is None else [handed]
        if handed is None or not is_answered(path):
            self._listen()
        os.chmod(path, 0o600)
        for each in self.listeners:
            each.setblocking(False)

    def _listen(self) -> None:
        self.listeners.append(listen(self._path))
        self._ours = _identity(self._path)

    def leave(self) -> None:
        """Let nobody find it any more; systemd's stays, to start the next supervisor."""
        if self._ours is not None and _identity(self._path) == self._ours:
            self._path.unlink(missing_ok=True)
        self._ours = None

    def close(self) -> None:
        """Accept nobody any more. Who waits at systemd's is for the next supervisor."""
        for each in self.listeners:
            each.close()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
