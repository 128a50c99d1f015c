"""Connections and listeners of a container that this process does not own, behind its owner's control socket.

A dialled connection has a connection to the owner of its own; those of a listener share the listener's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec

from firkin.agent.channel import Channel, Message
from firkin.agent.streams import StreamReceiver, StreamSender
from firkin.engine import control_ops as ops
from firkin.engine.connected import MAX_CONNECTIONS
from firkin.errors import FirkinError, MachineDied, OutcomeUnknown, WrongState
from firkin.wire.messages import convert
from firkin.wire.sockets import Listening, Place


async def dial(channel: Channel, place: Place, timeout_s: float | None) -> RemoteConnection:
    """A connection to `place` over `channel`, which it now owns."""
    connection = RemoteConnection(channel, lambda _: channel.connection.finish())
    streams = {"input": connection.writer.stream, "output": connection.reader.stream}
    await channel.request(ops.to_message(ops.Dial(place=place, timeout_s=timeout_s, **streams)))
    return connection


class RemoteConnection:
    """A Connection at the other end of a control socket. `left` is told once it has ended."""

    def __init__(self, channel: Channel, left: Callable[[RemoteConnection], None]) -> None:
        self.writer: StreamSender = channel.sender(channel.new_stream())
        self.reader: StreamReceiver = channel.receiver(channel.new_stream())
        self._channel = channel
        self._left = left
        self._parting: asyncio.Future[Message] | None = None

    async def close(self) -> None:
        """Read no more, let what was written be taken, and end it. Raises Timeout."""
        with suppress(MachineDied, OutcomeUnknown, WrongState):  # it ended with the machine, or the owner
            await asyncio.shield(self._part(now=False))

    def abort(self) -> None:
        """End it now, whatever is on its way."""
        self._part(now=True)

    def _part(self, *, now: bool) -> asyncio.Future[Message]:
        if self._parting is None:
            self.writer.close()
            self.reader.close()
            parted = ops.Parted(input=self.writer.stream, now=now)
            self._parting = self._channel.post(ops.to_message(parted))
            self._parting.add_done_callback(lambda _: self._leave())
        return self._parting

    def _leave(self) -> None:
        self._channel.release(self.writer.stream, self.reader.stream)
        self._left(self)


class RemoteListener:
    """A Listener at the other end of a control socket. It owns that connection, with all that it accepts.

    Beyond as many as a client may have, who connects waits in the guest.
    """

    def __init__(self, channel: Channel, place: Place) -> None:
        self.place = place
        self._channel = channel
        self._turn = asyncio.Lock()
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)
        self._waiting: asyncio.Task[RemoteConnection] | None = None
        self._accepted: set[RemoteConnection] = set()
        self._closing: asyncio.Future[Message] | None = None

    @classmethod
    async def listen(cls, channel: Channel, place: Place, *, mode: int, uid: int, gid: int) -> RemoteListener:
        """Listen at `place` over `channel`. Raises PortInUse, AgentError."""
        answer = await channel.request(ops.to_message(ops.Listen(place=place, mode=mode, uid=uid, gid=gid)))
        port = convert(answer, Listening).port
        return cls(channel, msgspec.structs.replace(place, port=port))

    async def accept(self) -> RemoteConnection:
        """The next connection. Whom a cancelled accept() has waited for is the next one's."""
        async with self._turn:
            if self._closing is not None:
                raise WrongState(f"the listener at {self.place.called} was closed")
            if self._waiting is None:
                self._waiting = asyncio.create_task(self._accept())
            waiting = self._waiting
            try:
                return await asyncio.shield(waiting)
            finally:
                if waiting.done():
                    self._waiting = None

    async def _accept(self) -> RemoteConnection:
        await self._room.acquire()
        connection = RemoteConnection(self._channel, self._leave)
        streams = {"input": connection.writer.stream, "output": connection.reader.stream}
        await self._channel.request(ops.to_message(ops.Accept(**streams)))
        self._accepted.add(connection)
        return connection

    async def close(self) -> None:
        """Listen no more. Connections go on until each is closed."""
        self.abort()
        assert self._closing is not None
        with suppress(FirkinError):
            await asyncio.shield(self._closing)

    def abort(self) -> None:
        """The same without waiting for it."""
        if self._closing is None:
            if self._waiting is not None:
                self._waiting.add_done_callback(_abort)
            self._closing = self._channel.post(ops.to_message(ops.Unlisten()))
            self._closing.add_done_callback(lambda _: self._finish())

    def _leave(self, connection: RemoteConnection) -> None:
        self._accepted.discard(connection)
        self._room.release()
        self._finish()

    def _finish(self) -> None:
        if self._closing is not None and self._closing.done() and not self._accepted:
            self._channel.connection.finish()


def _abort(waiting: asyncio.Task[RemoteConnection]) -> None:
    """Nobody wants whom it has waited for."""
    if not waiting.cancelled() and waiting.exception() is None:
        waiting.result().abort()
