"""Pod: AsyncPod with blocking calls. Each method promises what its namesake there does."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Unpack

from firkin.api.async_container import AsyncContainer
from firkin.api.async_pod import AsyncPod
from firkin.api.container import Container
from firkin.api.loop import Loop
from firkin.engine.words import RunWords
from firkin.machine.spec import PublishedPort
from firkin.wire.usage import Usage


class Pod:
    """Several containers in one machine. Leaving its `with` block takes it away with all that is in it.

    One of Engine.pod() is made when it is entered, and goes with this program, too.
    """

    def __init__(self, pod: AsyncPod, loop: Loop) -> None:
        self._pod = pod
        self._loop = loop

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self._pod.id

    @property
    def name(self) -> str:
        return self._pod.name

    @property
    def state(self) -> str:
        """ready, running, paused or stopped."""
        return self._pod.state

    @property
    def ports(self) -> tuple[PublishedPort, ...]:
        """What is published, with the host ports that were chosen."""
        return self._pod.ports

    def run(self, image: str, command: Iterable[str] = (), **words: Unpack[RunWords]) -> Container:
        """Start a container in it."""

        async def start() -> AsyncContainer:
            return await self._pod.run(image, command, **words)

        return Container(self._loop.call(start()), self._loop)

    def create(self, image: str, command: Iterable[str] = (), **words: Unpack[RunWords]) -> Container:
        """A container in it that is started later."""
        return Container(self._loop.call(self._pod.create(image, command, **words)), self._loop)

    def containers(self) -> list[Container]:
        """All containers in it, in the order in which they were made."""
        return [Container(each, self._loop) for each in self._loop.call(self._pod.containers())]

    def start(self) -> None:
        """Start it with its containers."""
        self._loop.call(self._pod.start())

    def stop(self, timeout: float | None = None) -> None:
        """Stop its containers, then its machine."""
        self._loop.call(self._pod.stop(timeout))

    def restart(self, timeout: float | None = None) -> None:
        """stop(timeout), then start()."""
        self._loop.call(self._pod.restart(timeout))

    def kill(self, signal: str | int = "KILL") -> None:
        """Send the first process of each of its running containers a signal."""
        self._loop.call(self._pod.kill(signal))

    def pause(self) -> None:
        """Let it stand still with its containers."""
        self._loop.call(self._pod.pause())

    def unpause(self) -> None:
        """Let it go on, with the time as it is now."""
        self._loop.call(self._pod.unpause())

    def remove(self, *, force: bool = False) -> None:
        """Delete it with its containers; a running one only with `force`."""
        self._loop.call(self._pod.remove(force=force))

    def top(self) -> dict[str, list[Any]]:
        """The processes of each of its running containers, by their names."""
        return self._loop.call(self._pod.top())

    def stats(self) -> dict[str, Usage]:
        """What each of its running containers has used until now, by their names."""
        return self._loop.call(self._pod.stats())

    def inspect(self) -> dict[str, Any]:
        """All that is known of it."""
        return self._loop.call(self._pod.inspect())

    def __enter__(self) -> Pod:
        self._loop.call(self._pod.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call(self._pod.__aexit__(kind, error, trace))
