"""`python -m firkin.supervisor DATA_DIR RUN_DIR`: become the supervisor of these directories.

Exits with 0 once one serves, be it another; with 1 and a line on standard error where that cannot be.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from firkin.errors import FirkinError
from firkin.settings import Settings
from firkin.supervisor.daemon import detach
from firkin.supervisor.lock import SupervisorLock
from firkin.supervisor.server import Supervisor


def main() -> None:
    """The life of a supervisor."""
    data_dir, run_dir = sys.argv[1:]
    os.umask(0o077)
    Path(run_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = Settings.load(data_dir=data_dir, run_dir=run_dir)
    lock = SupervisorLock.take(settings.paths.supervisor_lock_path)
    if lock is None:
        return  # another one serves, or is about to leave: the client looks again
    with lock:  # the child has it, too
        starter = detach(settings.paths.run / "supervisor.log")
        asyncio.run(Supervisor(settings).serve(starter.ready))


if __name__ == "__main__":
    try:
        main()
    except FirkinError as failed:
        sys.exit(f"{failed} ({failed.hint})" if failed.hint else str(failed))
    except OSError as failed:
        sys.exit(f"{failed.filename or 'supervisor'}: {failed.strerror}")
