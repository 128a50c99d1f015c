"""The fixtures. Each is there three times: for a test, for a file, and for the session.

firkin_home  firkin_module_home  firkin_session_home  and so command, engine, container, machine, registry

home ◄── engine ◄── container ◄── machine    Each is made when it is asked for, of those of its own scope,
 ▲ ▲── command   registry ──► home           and gone at the end of it, which the home looks to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Literal

import pytest

from firkin.pytest import words

if TYPE_CHECKING:
    from firkin import Container, Engine
    from firkin.pytest.command import Command
    from firkin.pytest.containers import Containers
    from firkin.pytest.home import Home
    from firkin.pytest.registry import Registry

__tracebackhide__ = True

Scope = Literal["function", "module", "session"]

_SPAN: dict[Scope, tuple[str, str]] = {
    "function": ("firkin_", "One for each test."),
    "module": ("firkin_module_", "One for each file of tests."),
    "session": ("firkin_session_", "One for the session, or for each worker of it."),
}


class Asked:
    """Who asks for a fixture, and in which scope."""

    def __init__(self, request: pytest.FixtureRequest, prefix: str) -> None:
        self.config = request.config
        self.node = request.node
        self._request = request
        self._prefix = prefix

    def own(self, noun: str) -> Any:
        """The fixture `noun` of this scope."""
        return self._request.getfixturevalue(self._prefix + noun)


def _in_each_scope(body: Callable[[Asked], AbstractContextManager[Any]]) -> tuple[Any, Any, Any]:
    """`body` as a fixture for a test, for a file and for the session."""
    return _fixture(body, "function"), _fixture(body, "module"), _fixture(body, "session")


def _fixture(body: Callable[[Asked], AbstractContextManager[Any]], scope: Scope) -> Any:
    prefix, span = _SPAN[scope]

    def fixture(request: pytest.FixtureRequest) -> Iterator[Any]:
        with body(Asked(request, prefix)) as value:
            yield value

    fixture.__doc__ = f"{body.__doc__} {span}"
    return pytest.fixture(fixture, scope=scope, name=prefix + body.__name__)


@contextmanager
def home(asked: Asked) -> Iterator[Home]:
    """Directories of its own, for data, sockets and configuration; nothing may be left at its end."""
    from firkin.pytest.lodging import lodging

    with lodging(asked.config, asked.node) as home:
        yield home


@contextmanager
def engine(asked: Asked) -> Iterator[Engine]:
    """A firkin.Engine in a home of its own, with the images of `firkin_images`."""
    from firkin import Engine
    from firkin.pytest.lodging import shelf
    from firkin.settings import Settings

    home = asked.own("home")
    for name in words.images(asked.config):
        shelf(asked.config).stock(home, name)
    with Engine(Settings.load(home.environ())) as engine:
        yield engine


@contextmanager
def command(asked: Asked) -> Iterator[Command]:
    """The command: firkin_command("ps", "-a").stdout; on the engine's home and images."""
    from firkin.pytest.command import FIRKIN, Command

    asked.own("engine")
    home = asked.own("home")
    yield Command(FIRKIN, home.environ(), home.work_dir)


@contextmanager
def container(asked: Asked) -> Iterator[Containers]:
    """Starts containers, firkin_container("debian", ["sleep", "inf"], memory="1g"); they end with it."""
    from firkin.pytest.containers import Containers
    from firkin.pytest.lodging import shelf

    with Containers(
        asked.own("engine"), asked.own("home"), shelf(asked.config), asked.config, words.of_node(asked.node)
    ) as containers:
        yield containers


@contextmanager
def machine(asked: Asked) -> Iterator[Container]:
    """A machine to do anything in: a privileged container that idles, whose exec() runs commands as root."""
    yield asked.own("container").machine()


@contextmanager
def registry(asked: Asked) -> Iterator[Registry]:
    """An empty registry on loopback, by plain HTTP: firkin_registry.reference("app") is a name in it."""
    from firkin.errors import HostUnsupported
    from firkin.pytest.lodging import show
    from firkin.pytest.registry import running_registry

    home = asked.own("home")
    directory = home.root / "registry"
    directory.mkdir()
    try:
        with running_registry(directory) as registry:
            show(asked.node, "log of the registry", registry.log_path)
            yield registry
    except HostUnsupported as error:
        words.unsupported(asked.config, error)


firkin_home, firkin_module_home, firkin_session_home = _in_each_scope(home)
firkin_engine, firkin_module_engine, firkin_session_engine = _in_each_scope(engine)
firkin_command, firkin_module_command, firkin_session_command = _in_each_scope(command)
firkin_container, firkin_module_container, firkin_session_container = _in_each_scope(container)
firkin_machine, firkin_module_machine, firkin_session_machine = _in_each_scope(machine)
firkin_registry, firkin_module_registry, firkin_session_registry = _in_each_scope(registry)


@pytest.fixture
def firkin_environ(firkin_home: Home) -> Iterator[dict[str, str]]:
    """Lets this process live in firkin_home, so that firkin.run() and programs that the test starts do."""
    from firkin.pytest.home import inhabited

    with inhabited(firkin_home):
        yield firkin_home.environ()
