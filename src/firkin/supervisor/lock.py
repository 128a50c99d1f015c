"""supervisor.lock: held by the supervisor while it lives, taken before any other lock, never deleted."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from firkin.container.locks import Lock, holders
from firkin.errors import Timeout
from firkin.store.lock import try_flock

_PATIENCE_S = 20.0
_POLL_S = 0.02


class SupervisorLock(Lock):
    """Whoever holds it may make the socket and own containers that nobody owns."""

    @classmethod
    def take(cls, path: Path) -> SupervisorLock | None:
        """The lock at `path`, made when missing; None where another process holds it. Raises OSError."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if try_flock(fd):
            return cls(fd)
        os.close(fd)
        return None

    @classmethod
    def take_over(cls, path: Path) -> SupervisorLock:
        """As take(), where the supervisor that holds it is told to end: its place is ours.

        Nothing is lost by that, as by no other death of a supervisor: its containers run on, and its clients
        ask again. Raises Timeout where it does not end, OSError.
        """
        end = time.monotonic() + _PATIENCE_S
        while (lock := cls.take(path)) is None:
            for pid in _supervisors(path):
                with suppress(OSError):  # it ended meanwhile
                    _tell_to_end(pid, path)
            if time.monotonic() > end:
                raise Timeout(
                    f"another supervisor holds {path}, and did not end within {_PATIENCE_S:g} s",
                    hint=f"see which: fuser -v {path}",
                )
            time.sleep(_POLL_S)
        return lock


def _supervisors(path: Path) -> Iterator[int]:
    """Whoever holds the lock; not who waits, with it, for the supervisor that it made (daemon.detach)."""
    held = [pid for pid in holders(path) if pid != os.getpid() and _holds(pid, path)]
    parents = {_parent_of(pid) for pid in held}
    yield from (pid for pid in held if pid not in parents)


def _tell_to_end(pid: int, path: Path) -> None:
    pidfd = os.pidfd_open(pid)
    try:
        if _holds(pid, path):  # it is still that process
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
    finally:
        os.close(pidfd)


def _holds(pid: int, path: Path) -> bool:
    """Whether the process holds a flock(2) on `path`, and has it not merely open (proc_pid_fdinfo(5))."""
    target = os.path.realpath(path)
    try:
        for entry in os.scandir(f"/proc/{pid}/fd"):
            if os.readlink(entry.path) == target:
                about = Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text()
                if "FLOCK" in about:
                    return True
    except OSError:  # it is gone
        pass
    return False


def _parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
