"""NoticedStream: output of a process, with somebody to tell when it will be read no further."""

from __future__ import annotations

from collections.abc import Callable

from firkin.agent.streams import StreamReceiver
from firkin.wire.frames import MAX_DATA_BYTES


class NoticedStream:
    """A stream of its process, which is told when the stream has ended."""

    def __init__(self, stream: StreamReceiver, notice: Callable[[], None]) -> None:
        self._stream = stream
        self._notice = notice

    @property
    def ended(self) -> bool:
        return self._stream.ended

    async def read(self, limit: int = MAX_DATA_BYTES) -> bytes:
        """The next 1 to `limit` bytes, or b"" at the end. Raises the connection's error if that was lost."""
        data = await self._stream.read(limit)
        if not data:
            self._notice()
        return data

    def close(self) -> None:
        """Read no more. Legal in every state."""
        self._stream.close()
        self._notice()
