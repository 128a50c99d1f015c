"""AsyncConnection and AsyncListener: sockets of a container, with the words of asyncio's streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from firkin.api.streams import AsyncReader, AsyncWriter
from firkin.engine.connection import Connection, Listener
from firkin.engine.deadline import within
from firkin.errors import FirkinError

DIAL_TIMEOUT_S = 10.0


class AsyncConnection:
    """A connected socket: what is written to `writer` goes to it, `reader` gives what comes from it.

    Each direction ends by itself: `writer.close()` says that nothing follows, and reading goes on. Leaving
    its `async with` block closes it; where the block raised, what is on its way is dropped.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.reader = AsyncReader(connection.reader, "what comes from a socket")
        self.writer = AsyncWriter(connection.writer)

    async def close(self) -> None:
        """Read no more, let what was written be taken, and end it. Legal in every state.

        Raises Timeout where the other end takes no more for 30 s: then it has ended all the same.
        """
        await self._connection.close()

    def abort(self) -> None:
        """End it now, whatever is on its way. Legal in every state."""
        self._connection.abort()

    async def __aenter__(self) -> AsyncConnection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.close()
        else:
            self.abort()


class AsyncListener:
    """A socket that listens in a container. Iterating gives connections; leaving the block ends it."""

    def __init__(self, listener: Listener, what: str) -> None:
        self._listener = listener
        self._what = what

    @property
    def port(self) -> int:
        """The TCP port, with 0 resolved; 0 for a path."""
        return self._listener.place.port

    @property
    def path(self) -> str:
        """The path in the container; "" for a port."""
        return self._listener.place.path

    async def accept(self, timeout: float | None = None) -> AsyncConnection:
        """The next connection. Whom a time-out or a cancellation kept from being given is the next one given.

        Raises Timeout after `timeout` seconds, WrongState after close(), MachineDied.
        """
        async with within(timeout, f"accepting a connection at {self._what}"):
            return AsyncConnection(await self._listener.accept())

    async def close(self) -> None:
        """Listen no more; a socket file is gone then. Connections go on. Legal in every state."""
        await self._listener.close()

    async def __aiter__(self) -> AsyncIterator[AsyncConnection]:
        while True:
            yield await self.accept()

    async def __aenter__(self) -> AsyncListener:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(FirkinError):
            await asyncio.shield(self.close())


class _Enters(Protocol):
    async def __aenter__(self) -> Any: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


S = TypeVar("S", bound=_Enters)


class Opening(Generic[S]):
    """What dial() and listen() give, to be awaited or entered, once."""

    def __init__(self, opening: Callable[[], Awaitable[S]]) -> None:
        self._open = opening
        self._opened: S | None = None

    def __await__(self) -> Generator[Any, None, S]:
        return self._open().__await__()

    async def __aenter__(self) -> S:
        self._opened = await self._open()
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._opened is not None
        await self._opened.__aexit__(kind, error, trace)
