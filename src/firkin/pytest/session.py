"""The test session: one directory for all that is made in it, and what may not be there at its end.

    /tmp/fkXXXXXX/     made when it is first asked for; short, because a socket's path holds 107 bytes
      shared/          what all tests and workers have in common: cache, templates, images
      1/  gw0.2/       the homes, see firkin.pytest.home

The rule: the process that began the session removes it. A session that was killed leaves the directory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from firkin.pytest.home import HOME_VARIABLE

KEPT = frozenset({"shared", "tmp"})
"""What lives as long as the session."""


WORKERS_DIR = "firkin_session_dir"
"""Where a worker of xdist finds the directory of its controller: among its `workerinput`."""


class Session:
    """The session that this process began, or the one that it is a worker of: then `path` is given."""

    def __init__(self, path: str = "") -> None:
        self._path = Path(path) if path else None
        self._is_ours = not path

    @property
    def dir(self) -> Path:
        if self._path is None:
            # A session that is started by a test lives in that test's home, and is gone with it.
            self._path = Path(tempfile.mkdtemp(prefix="fk", dir=os.environ.get(HOME_VARIABLE, "/tmp")))
            self._path.chmod(0o711)  # the home of an unprivileged user may be in it
        return self._path

    @property
    def shared_dir(self) -> Path:
        directory = self.dir / "shared"
        directory.mkdir(mode=0o755, exist_ok=True)
        return directory

    def end(self) -> list[str]:
        """What is left though fixtures and workers are gone: processes, which are killed, mounts, homes."""
        from firkin.pytest import leaks

        if self._path is None or not self._is_ours:
            return []
        mark = str(self._path)
        mounts = leaks.mounts_of(mark)
        found = [str(leftover) for leftover in leaks.end_leftovers(mark)]
        found += [f"mount: {line}" for line in mounts]
        found += [f"directory: {path}" for path in self._path.iterdir() if path.name not in KEPT]
        if not mounts:
            shutil.rmtree(self._path, ignore_errors=True)
        return found


_SESSION = pytest.StashKey[Session]()


def session_of(config: pytest.Config) -> Session:
    """The session of `config`, begun where nobody has asked for it yet."""
    if _SESSION not in config.stash:
        config.stash[_SESSION] = Session(getattr(config, "workerinput", {}).get(WORKERS_DIR, ""))
    return config.stash[_SESSION]
