"""No test waits for a disk: what a crash leaves is tried by kills, and what was written survives those.

firkin fsyncs what it says before it says it: milliseconds each, thousands of times in a session. Python
imports this module in every process that has its directory in PYTHONPATH.
"""

from __future__ import annotations

import os


def _unsynced(fd: int) -> None:
    os.fstat(fd)  # which must be open even so


os.fsync = os.fdatasync = _unsynced  # type: ignore[assignment]
