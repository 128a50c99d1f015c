"""AsyncContainer: a container, wherever it lives: in this process, under the supervisor, or ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, Unpack, overload

from firkin.api.async_process import AsyncProcess
from firkin.api.outcome import finished
from firkin.api.starting import Starting
from firkin.container.log import LogRecord
from firkin.engine.container import Container as EngineContainer
from firkin.engine.deadline import within
from firkin.engine.engine import Engine
from firkin.engine.signals import parse_signal
from firkin.engine.words import ProcessWords, exec_options
from firkin.errors import ContainerNotFound
from firkin.machine.spec import PublishedPort
from firkin.process.output import Output
from firkin.process.spec import ExitStatus


class AsyncContainer:
    """A container. Leaving its `async with` block ends it where it still runs, and removes it."""

    def __init__(self, container: EngineContainer, engine: Engine) -> None:
        self._container = container
        self._engine = engine

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self._container.id

    @property
    def name(self) -> str:
        return self._container.name

    @property
    def image(self) -> str:
        """The reference that it was started from."""
        return self._container.spec.image

    @property
    def ports(self) -> tuple[PublishedPort, ...]:
        """What is published, with the host ports that were chosen."""
        return tuple(getattr(self._container.state, "ports", ()))

    def exec(self, command: Iterable[str], **words: Unpack[ProcessWords]) -> Starting[AsyncProcess]:
        """Start one more process in it: `await` it, enter it, or take its `.output()`.

        Environment, user and directory are the first process's where `words` say nothing. Raises
        CommandNotFound, CommandNotExecutable, UsageError, WrongState where the container has ended.
        """
        options = exec_options(command, **words)

        async def start() -> AsyncProcess:
            process = await self._container.exec(options)
            return AsyncProcess(process, f"{options.command[0]!r} in container {self.name!r}")

        return Starting(start)

    async def attach(self, *, stdin: bool = False, replay: bool = True) -> AsyncProcess:
        """Its first process: with `replay` all output from the start, else from now on.

        Several may be attached; a reader that stands still makes the process wait.
        """
        process = await self._container.attach(stdin=stdin, replay=replay)
        return AsyncProcess(process, f"container {self.name!r}")

    @overload
    async def output(
        self,
        input: bytes | str | None = ...,
        *,
        timeout: float | None = ...,
        check: bool = ...,
        text: Literal[False] = ...,
    ) -> Output[bytes]: ...
    @overload
    async def output(
        self,
        input: bytes | str | None = ...,
        *,
        timeout: float | None = ...,
        check: bool = ...,
        text: Literal[True],
    ) -> Output[str]: ...
    @overload
    async def output(
        self,
        input: bytes | str | None = ...,
        *,
        timeout: float | None = ...,
        check: bool = ...,
        text: bool = ...,
    ) -> Output[Any]: ...
    async def output(
        self,
        input: bytes | str | None = None,
        *,
        timeout: float | None = None,
        check: bool = False,
        text: bool = False,
    ) -> Output[Any]:
        """AsyncProcess.output() of its first process, from the start, once the machine is gone too."""
        process = await self.attach(stdin=input is not None)
        said = await process.output(input, timeout=timeout)
        await self._container.wait()
        return finished(said, f"container {self.name!r}", check=check, text=text)

    async def wait(self, timeout: float | None = None) -> ExitStatus:
        """How its first process ended, once the machine is gone too. Raises Timeout, MachineDied."""
        async with within(timeout, f"wait for container {self.name!r}"):
            return await self._container.wait()

    async def start(self) -> None:
        """Start it again where it has ended, on the disk that it left; the supervisor has it then.

        Nothing happens to one that runs. Raises what kept it from starting: then it has ended as before.
        """
        self._container = await self._engine.start(self.id)

    async def kill(self, signal: str | int = "KILL") -> None:
        """Send its first process a signal, by name or number. Raises WrongState where it has ended."""
        await self._container.kill(parse_signal(signal))

    async def stop(self, timeout: float | None = None) -> None:
        """End it: its stop signal, after `timeout` seconds (else its own) KILL. Gone when this returns."""
        await self._container.stop(timeout)

    async def remove(self, *, force: bool = False) -> None:
        """Remove it with all that it wrote; with `force` end it first. Raises WrongState where it runs."""
        await self._container.remove(force=force)

    async def logs(
        self, *, follow: bool = False, tail: int | None = None, since_ns: int | None = None
    ) -> AsyncIterator[LogRecord]:
        """What its first process wrote, piece by piece; with `follow` until it ends."""
        async for record in self._container.logs(follow=follow, tail=tail, since_ns=since_ns):
            yield record

    async def top(self) -> list[Any]:
        """Its processes, as ps would list them inside."""
        return await self._container.top()

    def inspect(self) -> dict[str, Any]:
        """All that is known of it, as `firkin inspect` prints it."""
        return self._container.inspect()

    async def __aenter__(self) -> AsyncContainer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ContainerNotFound):  # it may have removed itself
            await asyncio.shield(self._container.remove(force=True))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.id[:12]}>"
