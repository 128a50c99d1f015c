"""Leftovers: what a crash left of a directory that appears and goes by rename.

.<id>.new      being made; its `lock` is flocked by its maker
.<id>.gone     being removed
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from firkin.container.locks import is_held
from firkin.linux.removal import remove_tree


def sweep(directory: Path) -> int:
    """Delete what was left half made or half removed in it; how many there were. Hurts nobody at work."""
    try:
        leftovers = [name for name in os.listdir(directory) if name.endswith((".new", ".gone"))]
    except FileNotFoundError:
        return 0
    swept = 0
    for name in leftovers:
        path = directory / name
        if name.endswith(".gone") or _is_abandoned(path):
            remove_tree(path)
            swept += 1
    return swept


def _is_abandoned(path: Path) -> bool:
    """Whether nobody is at `path`. One without a lock yet is given a minute."""
    try:
        if (path / "lock").exists():
            return not is_held(path / "lock")
        return time.time() - path.stat().st_mtime > 60
    except FileNotFoundError:
        return False
