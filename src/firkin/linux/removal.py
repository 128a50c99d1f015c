"""Removal of trees, whoever of this user's ids their files belong to.

The rule: no link is followed, and what cannot be deleted stays, for whoever tidies next.
"""

from __future__ import annotations

import os
from pathlib import Path

from firkin.errors import HostUnsupported


def remove_tree(path: Path) -> None:
    """Delete the directory `path` and all in it, of subordinate ids too, and however deep."""
    from shutil import rmtree  # costs every start two modules of compression

    try:
        rmtree(path, ignore_errors=True)
    except RecursionError:
        pass  # deeper than Python calls itself, as an image may make it
    if path.is_dir() and not path.is_symlink():
        _remove_inside(path)


def _remove_inside(path: Path) -> None:
    from firkin.linux.storage_namespace import run

    try:
        run(["/bin/rm", "-rf", "--", os.path.abspath(path)])
    except (HostUnsupported, OSError):
        pass
