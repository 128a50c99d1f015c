"""Connection and Listener: sockets of a container's, as the agent's client shows them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress
from typing import Protocol

from firkin.agent.streams import StreamReceiver, StreamSender
from firkin.errors import FirkinError, Timeout, WrongState
from firkin.wire.sockets import Accept, Accepted, Hangup, Place, Unlisten

LINGER_S = 30.0
"""How long close() waits for a peer to take what was written."""


class Connection:
    """A connected socket. `writer` goes to it, `reader` comes from it, and each ends by itself."""

    def __init__(
        self, sockets: HangsUp, number: int, place: Place, reader: StreamReceiver, writer: StreamSender
    ) -> None:
        self.number = number
        self.place = place
        self.reader = reader
        self.writer = writer
        self.connected: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._sockets = sockets
        self._over = False

    async def close(self) -> None:
        """Read no more, let what was written be taken, and end it. Legal in every state.

        Raises Timeout where the peer takes no more for 30 s: then it has ended all the same.
        """
        self.writer.close()
        self.reader.close()
        try:
            async with asyncio.timeout(LINGER_S):
                await self.writer.drain()
        except TimeoutError as error:
            raise Timeout(
                f"what was written to {self.place.called} was not taken within {LINGER_S:g} s",
                hint="who has the other end may stand still",
            ) from error
        finally:
            self.abort()

    def abort(self) -> None:
        """End it now, whatever is on its way. Legal in every state."""
        if not self._over:
            self._over = True
            self.writer.close()
            self.reader.close()
            self._sockets.hang_up(self)

    def settle(self, errno: int) -> None:
        """The agent told how connecting came out."""
        if not self.connected.done():
            self.connected.set_result(errno)


class HangsUp(Protocol):
    """What a connection needs of the client that opened it."""

    def hang_up(self, connection: Connection) -> None: ...


class Sockets(HangsUp, Protocol):
    """What a listener needs of the client that made it."""

    def open(self, place: Place) -> Connection: ...
    def drop(self, connection: Connection) -> None: ...
    def post(self, op: Accept | Hangup | Unlisten) -> Awaitable[dict[str, object]]: ...
    def read(self, answer: dict[str, object], kind: type[Accepted]) -> Accepted: ...
    def forget(self, listener: Listener) -> None: ...


class Listener:
    """A socket that listens in a container for this host. `place` has the port that was chosen."""

    def __init__(self, sockets: Sockets, number: int, place: Place) -> None:
        self.number = number
        self.place = place
        self._sockets = sockets
        self._incoming = asyncio.Event()
        self._turn = asyncio.Lock()
        self._kept: deque[Connection] = deque()
        self._lost: FirkinError | None = None
        self._closed = False

    async def accept(self) -> Connection:
        """The next connection, once somebody connects. Whoever waits is not lost by a cancelled accept().

        Raises MachineDied, AgentError.
        """
        async with self._turn:
            while True:
                if self._kept:
                    return self._kept.popleft()
                if self._lost is not None:
                    raise self._lost
                await self._incoming.wait()
                if self._lost is None and (connection := await self._take()) is not None:
                    return connection

    async def close(self) -> None:
        """Listen no more; the socket file is gone when this returns. Connections go on."""
        if not self._closed:
            with suppress(FirkinError):  # the machine, or the container, is gone, and so is the listener
                await self._end()

    def abort(self) -> None:
        """The same without waiting for it."""
        if not self._closed:
            self._end()

    def _end(self) -> Awaitable[object]:
        self._closed = True
        self.lose(WrongState(f"the listener at {self.place.called} was closed"))
        while self._kept:
            self._kept.popleft().abort()
        self._sockets.forget(self)
        return self._sockets.post(Unlisten(listener=self.number))

    async def _take(self) -> Connection | None:
        """Whoever waits; None where nobody does any more."""
        connection = self._sockets.open(self.place)
        self._incoming.clear()  # before the request: what is told behind its answer counts again
        answer = asyncio.ensure_future(
            self._sockets.post(
                Accept(
                    listener=self.number,
                    connection=connection.number,
                    input=connection.writer.stream,
                    output=connection.reader.stream,
                )
            )
        )
        try:
            return self._taken(connection, await asyncio.shield(answer))
        except asyncio.CancelledError:
            answer.add_done_callback(lambda done: self._keep(connection, done))
            raise
        except FirkinError:
            self._sockets.drop(connection)
            raise

    def _taken(self, connection: Connection, answer: dict[str, object]) -> Connection | None:
        if self._sockets.read(answer, Accepted).accepted:
            self._incoming.set()  # there may be more
            connection.settle(0)
            return connection
        self._sockets.drop(connection)
        return None

    def _keep(self, connection: Connection, answer: asyncio.Future[dict[str, object]]) -> None:
        """Nobody waits for this answer any more: whom it took is the next accept()'s."""
        if answer.cancelled() or answer.exception() is not None:
            self._sockets.drop(connection)
        elif self._taken(connection, answer.result()) is not None:
            if self._closed:
                connection.abort()
            else:
                self._kept.append(connection)

    def told(self) -> None:
        """Somebody waits."""
        self._incoming.set()

    def lose(self, error: FirkinError) -> None:
        """The connection to the agent is gone."""
        self._lost = error
        self._incoming.set()
