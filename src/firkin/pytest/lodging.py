"""A home as the fixtures make it: with what the session shares, and looked through at its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from firkin.pytest import leaks, words
from firkin.pytest.home import Home, fresh_home
from firkin.pytest.session import session_of

if TYPE_CHECKING:
    from firkin.pytest.shelf import Shelf
    from firkin.settings import Settings

__tracebackhide__ = True

HOMES = pytest.StashKey[list[Home]]()
LOGS = pytest.StashKey[list[tuple[str, Path]]]()
_SHELF: pytest.StashKey[Shelf] = pytest.StashKey()

_HOST = ("qemu", "virtiofsd", "kernel", "accelerator")
"""Settings that are of the host, and so of every home on it."""


@contextmanager
def lodging(config: pytest.Config, node: pytest.Collector | pytest.Item) -> Iterator[Home]:
    """A new home for the tests of `node`; what is left running, mounted or listening fails them."""
    session = session_of(config)
    with fresh_home(parent=session.dir, variables=_host_words(config)) as home:
        home.share_cache(session.shared_dir / "cache")
        _share_kernels(home)
        homes = node.stash.setdefault(HOMES, [])
        homes.append(home)
        try:
            yield home
        finally:
            homes.remove(home)
            left = _left(home)
        if left:
            pytest.fail("\n  ".join([f"left behind in {home.root}, and ended now:", *left]), pytrace=False)


def show(node: pytest.Collector | pytest.Item, title: str, path: Path) -> None:
    """Show the end of the file `path` with every failure of the tests of `node`."""
    node.stash.setdefault(LOGS, []).append((title, path))


def shelf(config: pytest.Config) -> Shelf:
    """The session's images."""
    from firkin.pytest.shelf import Shelf

    if _SHELF not in config.stash:
        archives = {name: path for name, path in words.images(config).items() if path is not None}
        config.stash[_SHELF] = Shelf(session_of(config).shared_dir / "images", archives)
    return config.stash[_SHELF]


def _host_words(config: pytest.Config) -> dict[str, str]:
    """What a home must know of this host, though it knows nothing else of the user who runs the tests."""
    host = _user_settings()
    kept = {name: str(getattr(host, name)) for name in _HOST if getattr(host, name) != _default(name)}
    if kernel := words.kernel(config):
        kept["kernel"] = kernel
    return {f"FIRKIN_{name.upper()}": value for name, value in kept.items()}


def _user_settings() -> Settings:
    from firkin.settings import Settings

    return Settings.load()


def _default(name: str) -> object:
    import msgspec

    from firkin.settings import Settings

    return next(field.default for field in msgspec.structs.fields(Settings) if field.name == name)


def _share_kernels(home: Home) -> None:
    """Kernels that `firkin kernel install` fetched are in the user's home."""
    theirs = _user_settings().paths.kernels_dir
    if theirs.is_dir():
        (home.data_dir / "kernels").symlink_to(theirs)


def _left(home: Home) -> list[str]:
    """What is still there of what ran in `home`: containers, processes, mounts, sockets. Nothing is after."""
    found = [f"container {name!r} still runs" for name in _running(home)]
    _dismiss(home)
    mark = str(home.root)
    mounts = leaks.mounts_of(mark)
    found += [str(leftover) for leftover in leaks.end_leftovers(mark)]
    found += [f"mount: {line}" for line in mounts]
    found += [f"socket: {path}" for path in sorted(home.run_dir.rglob("*")) if path.is_socket()]
    return found


def _running(home: Home) -> list[str]:
    from firkin.container.record import records
    from firkin.errors import FirkinError
    from firkin.paths import Paths

    names = []
    for record in records(Paths(home.data_dir, home.run_dir)):
        if record.is_alive():
            try:
                names.append(record.spec().name)
            except FirkinError:  # it can be named all the same
                names.append(record.id[:12])
    return names


def _dismiss(home: Home) -> None:
    """Let the home's supervisor stop what it owns, and leave."""
    from firkin.api.loop import Loop
    from firkin.engine.supervised import shutdown
    from firkin.settings import Settings

    settings = Settings.load(home.environ())
    if settings.paths.supervisor_socket_path.exists():
        loop = Loop()
        try:
            loop.call(shutdown(settings))
        finally:
            loop.close()
