"""`python -m firkin.supervisor [--foreground] DATA_DIR RUN_DIR`: become the supervisor of these directories.

Without --foreground it leaves whoever started it, and exits with 0 once one serves, be it another. With it,
as a service of systemd's, it stays. Exits with 1 and a line on standard error where it cannot be one.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from firkin.errors import FirkinError
from firkin.settings import Settings
from firkin.supervisor.activation import handed_over
from firkin.supervisor.daemon import detach
from firkin.supervisor.door import is_answered
from firkin.supervisor.lock import SupervisorLock
from firkin.supervisor.server import Supervisor


def main() -> None:
    """The life of a supervisor."""
    words = sys.argv[1:]
    foreground = words[:1] == ["--foreground"]
    if len(words) != 2 + foreground:
        sys.exit("usage: python -m firkin.supervisor [--foreground] DATA_DIR RUN_DIR")
    data_dir, run_dir = words[foreground:]
    os.umask(0o077)
    Path(run_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = Settings.load(data_dir=data_dir, run_dir=run_dir)
    handed = handed_over(settings.paths.supervisor_socket_path, os.environ)
    if handed is None and is_answered(settings.paths.supervisor_socket_path):
        return  # by another one, or by systemd, which starts one for us
    lock_path = settings.paths.supervisor_lock_path
    lock = SupervisorLock.take(lock_path) if handed is None else SupervisorLock.take_over(lock_path)
    if lock is None:
        return  # another one serves, or is about to leave: the client looks again
    with lock:  # the child has it, too
        ready = _nobody if foreground else detach(settings.paths.run / "supervisor.log").ready
        asyncio.run(Supervisor(settings).serve(ready, handed))


def _nobody() -> None:
    """Nobody waits to hear that we serve."""


if __name__ == "__main__":
    try:
        main()
    except FirkinError as failed:
        sys.exit(f"{failed} ({failed.hint})" if failed.hint else str(failed))
    except OSError as failed:
        sys.exit(f"{failed.filename or 'supervisor'}: {failed.strerror}")
