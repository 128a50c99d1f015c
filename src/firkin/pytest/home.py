"""A home of its own for each test: directories that firkin finds through the environment.

The paths are short, because a socket's path holds 107 bytes. What a test starts there inherits
FIRKIN_TEST_HOME, so that what it left running can be found and named.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

SESSION_VARIABLE = "FIRKIN_TEST_SESSION"
HOME_VARIABLE = "FIRKIN_TEST_HOME"

_FOREIGN = ("FIRKIN_", "XDG_", "REGISTRY_AUTH_FILE", "DOCKER_", "CONTAINERS_")
_TEMPLATES = "32"
"""How many templates homes may share: a session asks for machines of more sizes than a user does."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Home:
    """One test's directories, below `root`. `variables` are further words of its environment."""

    root: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def data_dir(self) -> Path:
        """What firkin keeps: $XDG_DATA_HOME/firkin."""
        return self.root / "data" / "firkin"

    @property
    def _templates_dir(self) -> Path:
        return self.data_dir / "templates"

    @property
    def run_dir(self) -> Path:
        return self.root / "run" / "firkin"

    @property
    def config_path(self) -> Path:
        return self.root / "config" / "firkin" / "config.toml"

    @property
    def work_dir(self) -> Path:
        """An empty directory to run commands in."""
        return self.root / "work"

    def environ(self) -> dict[str, str]:
        """The environment of a command that lives here: the caller's, without a word about other homes."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN) or k == SESSION_VARIABLE}
        return {
            **kept,
            **({"FIRKIN_TEMPLATES": _TEMPLATES} if self._templates_dir.is_symlink() else {}),
            **self.variables,
            "HOME": str(self.root / "home"),
            "XDG_DATA_HOME": str(self.root / "data"),
            "XDG_RUNTIME_DIR": str(self.root / "run"),
            "XDG_CONFIG_HOME": str(self.root / "config"),
            HOME_VARIABLE: str(self.root),
        }

    def share_cache(self, cache_dir: Path) -> None:
        """Take firkin's cache (initramfs, kernels, verdicts) from `cache_dir` and its templates from beside
        it, which other homes use too: a session makes each of them once.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        templates_dir = cache_dir.with_name(f"{cache_dir.name}-templates")
        for path, shared_dir in ((self.data_dir / "cache", cache_dir), (self._templates_dir, templates_dir)):
            shared_dir.mkdir(parents=True, exist_ok=True)
            path.symlink_to(shared_dir)


def session_dir() -> Path:
    """The directory of a test session whose processes all have its name in their environment."""
    return Path(os.environ[SESSION_VARIABLE])


@contextmanager
def fresh_home(
    owner: tuple[int, int] | None = None,
    *,
    parent: Path | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Home]:
    """A new home in `parent`, else in the session's directory, of user and group `owner`; removed with all
    that is in it when the block ends.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    home = Home((parent or session_dir()) / f"{worker}{'.' if worker else ''}{next(_numbers)}", variables)
    for name in ("", "home", "data", "run", "config", "work"):
        directory = home.root / name
        directory.mkdir(mode=0o700)
        if owner is not None:
            os.chown(directory, *owner)
    try:
        yield home
    finally:
        shutil.rmtree(home.root)


@contextmanager
def inhabited(home: Home) -> Iterator[None]:
    """This process lives in `home` while the block runs."""
    before, inside = dict(os.environ), home.environ()
    os.environ.clear()
    os.environ.update(inside)
    for variable in ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER"):
        if variable in before:
            os.environ[variable] = before[variable]
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
