"""Where the benchmarks run: a home of their own, a registry on loopback, and images in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from firkin.pytest.registry import Registry, running_registry
from tests.support.images import Images

_FOREIGN = ("FIRKIN_", "XDG_", "PYTHONDONTWRITEBYTECODE")
"""Words about other homes, and the one that has Python compile firkin anew at each start."""
FIRKIN = str(Path(sys.executable).with_name("firkin"))


@dataclass(frozen=True, slots=True)
class Place:
    """What every group of contenders needs to know."""

    root: Path
    registry: Registry
    rounds: int
    firkin: str = FIRKIN
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def images(self) -> Images:
        return Images(self.registry)

    @property
    def static_image(self) -> str:
        """Busybox: one static binary. In the registry, and in the store from its first use on."""
        return self.images.busybox()

    def run(self, argv: list[str]) -> None:
        """Run a command that is not measured. Raises CalledProcessError."""
        subprocess.run(argv, env=self.environ, check=True, stdout=subprocess.DEVNULL)

    def environ_of(self, name: str) -> dict[str, str]:
        """The environment of another home, empty at first."""
        home = self.root / name
        for directory in ("data", "run", "config"):
            (home / directory).mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
        return kept | {
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_RUNTIME_DIR": str(home / "run"),
            "XDG_CONFIG_HOME": str(home / "config"),
            "PYTHONPYCACHEPREFIX": str(self.root / "bytecode"),
        }


@contextmanager
def open_place(rounds: int) -> Iterator[Place]:
    """A Place, removed when the block ends."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(TemporaryDirectory(prefix="fkb", dir="/tmp")))
        (root / "registry").mkdir()
        registry = stack.enter_context(running_registry(root / "registry"))
        place = Place(root, registry, rounds)
        place.environ.update(place.environ_of("home"))
        yield place
