"""Containers that a test starts, and that are gone when it ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Unpack

import pytest

from firkin.engine.words import run_options
from firkin.errors import ContainerNotFound, HostUnsupported
from firkin.pytest import words as said

if TYPE_CHECKING:
    from firkin import Container, Engine
    from firkin.engine.words import RunWords
    from firkin.pytest.home import Home
    from firkin.pytest.shelf import Shelf

__tracebackhide__ = True

_IDLE = ("sleep", "inf")


class Containers:
    """Called, it starts a container in the fixture's engine. A context manager: leaving it removes them."""

    def __init__(
        self, engine: Engine, home: Home, shelf: Shelf, config: pytest.Config, words: Mapping[str, Any]
    ) -> None:
        self.engine = engine
        self._home = home
        self._shelf = shelf
        self._config = config
        self._words = words
        self._ending = ExitStack()

    def __enter__(self) -> Containers:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    def __call__(
        self, image: str = "", command: Iterable[str] = (), *, detach: bool = False, **words: Unpack[RunWords]
    ) -> Container:
        """A new container, as by Engine.run(), of the marker's image, else the project's, where none is said.

        It stays until the fixture ends, though its process does before. An image that is not here yet is
        fetched once a session. Raises what Engine.run() raises, but skips or fails the test where this host
        can run no machine.
        """
        more: dict[str, Any] = {**self._words, **words}
        of_marker, its_command = more.pop("image", ""), more.pop("command", ())
        more.setdefault("auto_remove", False)
        name, command = image or of_marker or said.image(self._config), tuple(command or its_command)
        run_options(name, command, **more)  # what cannot be is refused before anything is fetched
        try:
            self._shelf.stock(self._home, name)
            container = self.engine.run(name, command, detach=detach, **more)
        except HostUnsupported as error:
            said.unsupported(self._config, error)
        self._ending.callback(_remove, container)
        return container

    def machine(self) -> Container:
        """A container that idles, and may do in its machine whatever root may."""
        words = dict(self._words)
        return self(
            command=words.get("command") or _IDLE,
            privileged=words.get("privileged", "capabilities" not in words),
        )


def _remove(container: Container) -> None:
    with suppress(ContainerNotFound):  # the test was faster
        container.remove(force=True)
