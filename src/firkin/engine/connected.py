"""Connected: the connections and the listener that one client of a control socket has in the container.

The rule: they end with the client's connection. Bytes are relayed to the last one, and then the writer is
closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from firkin.agent.channel import Message
from firkin.agent.connection import LINGER_S
from firkin.engine import control_ops as ops
from firkin.engine.deadline import within
from firkin.errors import ProtocolError, WrongState
from firkin.process.protocol import ByteReceiver, ByteSender

if TYPE_CHECKING:
    from firkin.engine.connection import Connection, Listener
    from firkin.engine.container import Container

MAX_CONNECTIONS = 48
"""Of one client, at a time: fewer than it may ask to close at once."""

CarryIn = Callable[[int, ByteSender], "asyncio.Task[None]"]
CarryOut = Callable[[ByteReceiver, int], "asyncio.Task[None] | None"]


class Connected:
    """Those of one connection to the control socket of `container`."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._listener: Listener | None = None
        self._connections: dict[int, tuple[Connection, list[asyncio.Task[None]], int]] = {}
        self._abandoned = False

    async def begin(self, op: ops.Dial | ops.Accept, carry_in: CarryIn, carry_out: CarryOut) -> None:
        """Connect, or accept, and relay. Raises ProtocolError, and what those raise."""
        if len(self._connections) >= MAX_CONNECTIONS or op.input in self._connections:
            raise ProtocolError("this connection has too many sockets of the container, or one twice")
        if not (op.input and op.output):
            raise ProtocolError("a connection needs two streams")
        connection = await self._connection(op)
        if self._abandoned:
            connection.abort()
            return
        tasks = [carry_in(op.input, connection.writer), carry_out(connection.reader, op.output)]
        self._connections[op.input] = connection, [task for task in tasks if task is not None], op.output

    async def _connection(self, op: ops.Dial | ops.Accept) -> Connection:
        if isinstance(op, ops.Dial):
            return await self._container.dial(op.place, op.timeout_s)
        if self._listener is None:
            raise WrongState("this connection has no listener")
        return await self._listener.accept()

    async def listen(self, op: ops.Listen) -> Message:
        """Begin to listen. Answer: Listening."""
        if self._listener is not None:
            raise ProtocolError("this connection has a listener already")
        listener = await self._container.listen(op.place, mode=op.mode, uid=op.uid, gid=op.gid)
        if self._abandoned:
            listener.abort()
        self._listener = listener
        return {"port": listener.place.port}

    async def unlisten(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            await self._listener.close()

    async def parted(self, op: ops.Parted) -> int:
        """Wait for the end of both directions, unless it is to end now, and close it. Its output stream.

        Raises WrongState, Timeout.
        """
        if op.input not in self._connections:
            raise WrongState("there is no such connection")
        connection, tasks, output = self._connections[op.input]
        try:
            if not op.now:
                async with within(LINGER_S, "letting the other end of a connection take what was written"):
                    await asyncio.gather(*(asyncio.shield(task) for task in tasks), return_exceptions=True)
                    await connection.close()
        finally:
            for task in tasks:
                task.cancel()
            connection.abort()
            self._connections.pop(op.input, None)
        return output

    def abandon(self) -> None:
        """The client is gone: so is all that it had."""
        self._abandoned = True
        for connection, *_ in self._connections.values():
            connection.abort()
        if self._listener is not None:
            self._listener.abort()
