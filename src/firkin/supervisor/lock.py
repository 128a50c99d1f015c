"""supervisor.lock: held by the supervisor while it lives, taken before any other lock, never deleted."""

from __future__ import annotations

import os
from pathlib import Path

from firkin.container.locks import Lock
from firkin.store.lock import try_flock


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
