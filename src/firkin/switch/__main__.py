"""`python -m firkin.switch DATA_DIR RUN_DIR NETWORK`: become the switch of that private network.

Exits with 0 once one serves, be it another; with 1 and a line on standard error where that cannot be.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from firkin.container.locks import Lock
from firkin.container.private_network import find
from firkin.errors import FirkinError
from firkin.paths import Paths
from firkin.store.lock import try_flock
from firkin.supervisor.daemon import detach
from firkin.switch.server import Server


def main() -> None:
    """The life of a switch."""
    data_dir, run_dir, name = sys.argv[1:]
    os.umask(0o077)
    paths = Paths(Path(data_dir), Path(run_dir))
    network = find(paths, name)
    path = paths.switch_socket_path(network.id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock_fd = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with Lock(lock_fd):  # the child has it, too
        if not try_flock(lock_fd):
            return  # another one serves, or is about to leave: the client looks again
        starter = detach(path.with_suffix(".log"))
        asyncio.run(Server(network, path).serve(starter.ready))


if __name__ == "__main__":
    try:
        main()
    except FirkinError as failed:
        sys.exit(f"{failed} ({failed.hint})" if failed.hint else str(failed))
    except OSError as failed:
        sys.exit(f"{failed.filename or 'switch'}: {failed.strerror}")
