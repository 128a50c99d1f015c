"""Sockets: the connections and listeners that one client of an agent has, and what the agent tells of them.

The rule: an event about what was never opened here ends the connection to the agent; one about what was let
go meanwhile has crossed that, and counts for nothing.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable
from typing import Any, TypeVar

import msgspec

from firkin.agent.channel import Channel, Message
from firkin.agent.connection import Connection, Listener
from firkin.errors import FirkinError, NotListening, ProtocolError
from firkin.wire.messages import Op, convert, op_map
from firkin.wire.sockets import LOOPBACK, Connect, Connected, Hangup, Incoming, Listen, Listening, Place

_BUSY_RETRY_S = 0.02
"""A unix socket whose backlog is full refuses at once; a TCP port makes who connects wait, and so do we."""

T = TypeVar("T", bound=msgspec.Struct)


class Sockets:
    """Those of the client whose `channel` this is."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._connections: dict[int, Connection] = {}
        self._listeners: dict[int, Listener] = {}
        self._last_connection = self._last_listener = 0

    async def connect(self, container: str, place: Place, *, datagrams: bool = False) -> Connection:
        """A connection to `place` in the container, or a way for UDP's `datagrams` to that port, each behind
        its length (u16, big endian). How long that may take is the caller's.

        Raises NotListening, MachineDied, AgentError.
        """
        addresses = LOOPBACK if not place.address and not place.path else (place.address,)
        refusals: list[int] = []
        for address in addresses:
            while True:
                connection, refusal = await self._connect(container, place, address, datagrams)
                if refusal == 0:
                    return connection
                if refusal != errno.EAGAIN:
                    break
                await asyncio.sleep(_BUSY_RETRY_S)
            refusals.append(refusal)
        raise NotListening(
            f"cannot connect to {place.called} in container: {os.strerror(refusals[0])}",
            hint="see what listens there: firkin exec CONTAINER ss -ltnx, or firkin top",
        )

    async def _connect(
        self, container: str, place: Place, address: str, datagrams: bool
    ) -> tuple[Connection, int]:
        connection = self.open(place)
        wanted = Connect(
            container=container,
            path=place.path,
            address=address or LOOPBACK[0],
            port=place.port,
            connection=connection.number,
            input=connection.writer.stream,
            output=connection.reader.stream,
            datagrams=datagrams or msgspec.UNSET,
        )
        try:
            await self.post(wanted)
            refusal = await connection.connected
        except FirkinError:
            self.drop(connection)
            raise
        except BaseException:
            connection.abort()
            raise
        if refusal:
            self.drop(connection)
        return connection, refusal

    def register(
        self, container: str, place: Place, *, mode: int = 0o600, uid: int = 0, gid: int = 0
    ) -> tuple[Listener, Listen]:
        """A listener, and the request that begins it, to be sent alone or in a batch."""
        self._last_listener += 1
        listener = Listener(self, self._last_listener, place)
        self._listeners[listener.number] = listener
        if self._channel.error is not None:
            listener.lose(self._channel.error)
        return listener, Listen(
            listener=listener.number,
            container=container,
            path=place.path,
            address=place.address or LOOPBACK[0],
            port=place.port,
            mode=mode,
            uid=uid,
            gid=gid,
        )

    async def listen(
        self, container: str, place: Place, *, mode: int = 0o600, uid: int = 0, gid: int = 0
    ) -> Listener:
        """A listener at `place` in the container. Raises AgentError, MachineDied."""
        listener, op = self.register(container, place, mode=mode, uid=uid, gid=gid)
        try:
            port = self.read(await self.post(op), Listening).port
        except FirkinError:
            self.forget(listener)
            raise
        except BaseException:
            listener.abort()
            raise
        listener.place = msgspec.structs.replace(place, port=port)
        return listener

    async def complete(self) -> None:
        """Wait until all that was said through the connections has arrived here."""
        for connection in tuple(self._connections.values()):
            if connection.connected.done():
                await connection.reader.complete()

    def post(self, op: Op) -> Awaitable[Message]:
        """Send `op`; its answer."""
        return self._channel.post(op_map(op))

    def read(self, answer: Message, kind: type[T]) -> T:
        """`answer` as a `kind`. Raises ProtocolError."""
        read: T = convert(answer, kind)
        return read

    def open(self, place: Place) -> Connection:
        """A connection that is yet to be asked for, with streams of its own."""
        self._last_connection += 1
        streams = self._channel.new_stream(), self._channel.new_stream()
        writer, reader = self._channel.sender(streams[0]), self._channel.receiver(streams[1])
        connection = Connection(self, self._last_connection, place, reader, writer)
        self._connections[connection.number] = connection
        return connection

    def hang_up(self, connection: Connection) -> None:
        """End it and forget it, without waiting for that."""
        answer = self._channel.post(op_map(Hangup(connection=connection.number)))
        answer.add_done_callback(lambda _: self.drop(connection))

    def drop(self, connection: Connection) -> None:
        """Forget it: the agent has, or never knew it."""
        self._connections.pop(connection.number, None)
        self._channel.release(connection.writer.stream, connection.reader.stream)

    def forget(self, listener: Listener) -> None:
        """It listens no more."""
        self._listeners.pop(listener.number, None)

    def on_event(self, kind: str, message: dict[str, Any]) -> bool:
        """Take an event, where it is one of sockets. Raises ProtocolError."""
        match kind:
            case "connected":
                connected = convert(message, Connected)
                self._known(connected.connection, self._last_connection)
                if connection := self._connections.get(connected.connection):
                    connection.settle(connected.errno)
            case "incoming":
                number = convert(message, Incoming).listener
                self._known(number, self._last_listener)
                if listener := self._listeners.get(number):
                    listener.told()
            case _:
                return False
        return True

    def _known(self, number: int, last: int) -> None:
        if not 1 <= number <= last:
            raise ProtocolError(f"{self._channel.peer} told of a socket that nobody opened")

    def lose(self, error: FirkinError) -> None:
        """The connection to the agent is gone."""
        for connection in self._connections.values():
            if not connection.connected.done():
                connection.connected.set_exception(error)
                connection.connected.exception()
        for listener in self._listeners.values():
            listener.lose(error)
