"""Fixtures that every test may use, and the promise that a test session leaves nothing behind.

    home          this test's own directories (used by every test, whether it asks or not)
    settings      firkin's settings in that home
    engine        an Engine there
    firkin        the command, run there: firkin("ps", "-a").stdout
    busybox       the same, in a home that has the image busybox, ready to run
    stocked       puts busybox and debian into that home, ready to run
    registry      a real registry on loopback, one for the session
    images        real images, cached for the next session
    wheel         the wheel of this checkout
    installed     the programs of an environment that holds it, which everybody may run
    unprivileged  a user without rights who has firkin installed

Quick tests come first, then those that boot machines, then the slow ones.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from firkin.pytest import leaks
from firkin.pytest.command import FIRKIN, Command
from firkin.pytest.home import SESSION_VARIABLE, Home, fresh_home, inhabited
from firkin.pytest.session import session_of
from firkin.pytest.shelf import stock

if TYPE_CHECKING:
    from firkin.engine.engine import Engine
    from firkin.pytest.registry import Registry
    from firkin.settings import Settings
    from tests.support.user import User

pytest_plugins = ["firkin.pytest", "tests.support.images"]

# How long an example takes says more of the host than of what is tested.
hypothesis.settings.register_profile(
    "any-host",
    hypothesis.settings.default,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("any-host")

_TOOLS_DIR = Path(__file__).parents[1] / ".cache/tools/usr/bin"
"""What ./dev unpacked and did not install."""

_UNSYNCED_DIR = Path(__file__).parent / "support" / "unsynced"

# --- the session ------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    # What a background job or nohup ignores, all that it starts would: a shell cannot even trap it then.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ[SESSION_VARIABLE] = str(session_of(config).dir)  # all that runs from now on is the session's
    os.environ["PATH"] += f":{_TOOLS_DIR}"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each command compiles firkin again
    os.environ["PYTHONPATH"] = ":".join(filter(None, (str(_UNSYNCED_DIR), os.environ.get("PYTHONPATH"))))
    import tests.support.unsynced.sitecustomize  # noqa: F401 - for this process too


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if item.get_closest_marker("machine") and (missing := _missing_for_machines()):
            item.add_marker(pytest.mark.skip(reason=missing))
        if "unprivileged" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("unprivileged"))
    items.sort(key=_cost)


def _cost(item: pytest.Item) -> int:
    return 2 * bool(item.get_closest_marker("slow")) + bool(item.get_closest_marker("machine"))


def _missing_for_machines() -> str:
    """Why no machine can run here, or "". In CI nothing is skipped: what is missing there is a failure."""
    if os.environ.get("CI"):
        return ""
    qemu = os.environ.get("FIRKIN_QEMU", "qemu-system-x86_64")
    return "" if shutil.which(qemu) else f"needs {qemu}: apt install qemu-system-x86"


# --- one test ---------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def home(request: pytest.FixtureRequest) -> Iterator[Home]:
    """This test's home, in this process's environment too. What still runs in it at the end is a failure."""
    boots = request.node.get_closest_marker("machine") is not None
    cache_dir = request.getfixturevalue("cache") if boots else None
    with fresh_home() as home, inhabited(home):
        if cache_dir is not None:
            home.share_cache(cache_dir)
        yield home
        if boots:
            mark = str(home.root)
            leaks.dismiss_supervisor(mark)
            left = leaks.end_leftovers(mark)
            assert not left, "left running: " + "; ".join(map(str, left))


@pytest.fixture
def settings(home: Home) -> Settings:
    from firkin.settings import Settings

    return Settings.load(home.environ())


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[Engine]:
    from firkin.engine.engine import Engine

    async with Engine(settings) as engine:
        yield engine


@pytest.fixture
def firkin(home: Home) -> Command:
    return Command(FIRKIN, home.environ(), home.work_dir)


@pytest.fixture
def busybox(home: Home, firkin: Command, shelf: Callable[[str], Path]) -> Command:
    stock(home, shelf("busybox"))
    return firkin


@pytest.fixture
def stocked(home: Home, shelf: Callable[[str], Path]) -> Home:
    for image in ("busybox", "debian"):
        stock(home, shelf(image))
    return home


# --- shared by the session --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shared_dir(pytestconfig: pytest.Config) -> Path:
    """A directory that lives as long as the session and is common to all its workers."""
    return session_of(pytestconfig).shared_dir


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry for this session (of this worker), without login, by plain HTTP."""
    from firkin.pytest.registry import running_registry

    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="session")
def once(shared_dir: Path) -> Callable[[str, Callable[[Path], Any]], Path]:
    """`once("wheel", make)` calls `make(directory)` in the first worker that asks; the others wait for it."""
    from firkin.pytest.once import once

    return lambda name, make: once(shared_dir / name, make)


@pytest.fixture(scope="session")
def cache(once: Callable[[str, Callable[[Path], Any]], Path]) -> Path:
    """firkin's cache after a first boot: kernel and initramfs are made, and what is said once was said."""
    from tests.support.stock import warm_cache

    return once("cache", warm_cache)


@pytest.fixture(scope="session")
def shelf(cache: Path, once: Callable[[str, Callable[[Path], Any]], Path]) -> Callable[[str], Path]:
    """`shelf("busybox")` is where the session has that image for homes, its disk built."""
    from tests.support.stock import fill_shelf

    return lambda image: once(f"shelf-{image}", lambda directory: fill_shelf(directory, cache, image))


@pytest.fixture(scope="session")
def wheel(once: Callable[[str, Callable[[Path], Any]], Path]) -> Path:
    from tests.support.wheel import build_wheel

    return next(once("wheel", build_wheel).glob("*.whl"))


@pytest.fixture(scope="session")
def installed(wheel: Path, once: Callable[[str, Callable[[Path], Any]], Path]) -> Path:
    from tests.support.wheel import install

    return once("installed", lambda directory: install(wheel, directory)) / "bin"


@pytest.fixture(scope="session")
def unprivileged(installed: Path) -> Iterator[User]:
    from tests.support.user import unprivileged_user

    with unprivileged_user(installed) as user:
        yield user
