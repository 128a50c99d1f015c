"""Connection and Listener: their asynchronous twins with blocking calls."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from firkin.api.async_sockets import AsyncConnection, AsyncListener
from firkin.api.loop import Loop
from firkin.api.process import Reader, Writer


class Connection:
    """A connected socket of a container. Leaving its `with` block closes it."""

    def __init__(self, connection: AsyncConnection, loop: Loop) -> None:
        self._connection = connection
        self._loop = loop
        self.reader = Reader(connection.reader, loop)
        self.writer = Writer(connection.writer, loop)

    def close(self) -> None:
        """Read no more, let what was written be taken, and end it. Raises Timeout after 30 s."""
        self._loop.call(self._connection.close())

    def abort(self) -> None:
        """End it now, whatever is on its way."""
        self._loop.run(self._connection.abort)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call(self._connection.__aexit__(kind, error, trace))


class Listener:
    """A socket that listens in a container. Iterating gives connections."""

    def __init__(self, listener: AsyncListener, loop: Loop) -> None:
        self._listener = listener
        self._loop = loop

    @property
    def port(self) -> int:
        """The TCP port, with 0 resolved; 0 for a path."""
        return self._listener.port

    @property
    def path(self) -> str:
        """The path in the container; "" for a port."""
        return self._listener.path

    def accept(self, timeout: float | None = None) -> Connection:
        """The next connection. Raises Timeout after `timeout` seconds, WrongState after close()."""
        return Connection(self._loop.call(self._listener.accept(timeout)), self._loop)

    def close(self) -> None:
        """Listen no more; a socket file is gone then. Connections go on."""
        self._loop.call(self._listener.close())

    def __iter__(self) -> Iterator[Connection]:
        while True:
            yield self.accept()

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call(self._listener.__aexit__(kind, error, trace))
