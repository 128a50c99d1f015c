"""Something dear that a test session makes once, whichever worker asks first."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path
from typing import Any


def once(directory: Path, make: Callable[[Path], Any]) -> Path:
    """`directory`, filled by `make(directory)`. A lock beside it lets the others wait."""
    with directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = directory / ".done"
        if not done.exists():
            directory.mkdir(exist_ok=True)
            make(directory)
            done.touch()
    return directory
