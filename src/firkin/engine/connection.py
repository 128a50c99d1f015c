"""What a connection into a container, and a listener in it, show, whoever owns the container.

Those of the agent's client (agent.connection) are of a container of this process, those of
engine.remote_connection are behind its owner's control socket.
"""

from __future__ import annotations

from typing import Protocol

from firkin.process.protocol import ByteReceiver, ByteSender
from firkin.wire.sockets import Place


class Connection(Protocol):
    """A connected socket: `writer` goes to it, `reader` comes from it, and each ends by itself."""

    @property
    def reader(self) -> ByteReceiver: ...

    @property
    def writer(self) -> ByteSender: ...

    async def close(self) -> None:
        """Read no more, let what was written be taken, and end it. Legal in every state. Raises Timeout."""

    def abort(self) -> None:
        """End it now, whatever is on its way. Legal in every state."""


class Listener(Protocol):
    """A socket that listens in a container."""

    @property
    def place(self) -> Place:
        """Where, with the port that was chosen."""

    async def accept(self) -> Connection:
        """The next connection, once somebody connects. Raises MachineDied, AgentError."""

    async def close(self) -> None:
        """Listen no more; connections go on. Legal in every state."""

    def abort(self) -> None:
        """The same without waiting for it."""
