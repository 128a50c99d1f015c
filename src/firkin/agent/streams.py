"""The two ends of a logical stream: bytes with absolute offsets, and credit that bounds what is in flight.

The rule: a sender is never more than WINDOW_BYTES ahead of what the receiver's reader took, and a receiver
never holds more than that. A stream ends by EOF (the sender's word), by BREAK (the receiver's) or by the
loss of the connection, which is an error and never looks like an end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from firkin.errors import FirkinError, ProtocolError
from firkin.wire.frames import MAX_DATA_BYTES, WINDOW_BYTES, Break, Credit, Data, Eof, Frame

_CREDIT_AFTER_BYTES = WINDOW_BYTES // 2
_CREDIT_AFTER_S = 0.02
"""How long the credit for less may wait for more: each one interrupts the guest."""
_MERGE_BYTES = 4096
"""Frames of single bytes are joined up to this, so that a window holds few objects whatever the peer does."""


class SendsFrames(Protocol):
    """What a stream needs of its connection."""

    @property
    def is_writable(self) -> bool: ...
    def send(self, *frames: Frame) -> None: ...
    async def writable(self) -> None: ...


class StreamSender:
    """The writing end of stream `stream`, from `offset` on.

    Where that is not 0, an earlier sender wrote what comes before: how much of it was taken is not known
    until the receiver's first CREDIT.
    """

    def __init__(self, connection: SendsFrames, stream: int, *, offset: int = 0) -> None:
        self.stream = stream
        self._connection = connection
        self._offset = offset
        self._consumed = max(0, offset - WINDOW_BYTES)
        self._closed = self._broken = False
        self._lost: FirkinError | None = None
        self._changed = asyncio.Event()

    @property
    def broken(self) -> bool:
        """Whether the receiver will read no more."""
        return self._broken

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`, waiting while the receiver is a window behind.

        Returns when the last byte is on its way, not when it was read. Each call's chunks of up to 64 KiB may
        interleave with those of another writer. Raises BrokenPipeError where the receiver reads no more or
        the stream was closed here, and the connection's error where that was lost.
        """
        view = memoryview(data).cast("B")
        while view:
            await self._sendable()
            room = self._consumed + WINDOW_BYTES - self._offset
            chunk = bytes(view[: min(room, MAX_DATA_BYTES)])
            self._connection.send(Data(self.stream, self._offset, chunk))
            self._offset += len(chunk)
            view = view[len(chunk) :]

    def close(self) -> None:
        """Say that nothing follows. Closing twice, or a broken stream, changes nothing."""
        if not (self._closed or self._broken or self._lost):
            self._connection.send(Eof(self.stream, self._offset))
        self._closed = True
        self._changed.set()

    async def drain(self) -> None:
        """Wait until the receiver's reader took everything, or reads no more, or the connection is lost."""
        while not (self._broken or self._lost or self._consumed == self._offset):
            await self._change()

    async def wait_broken(self) -> None:
        """Wait until the receiver reads no more, or the connection is lost."""
        while not (self._broken or self._lost):
            await self._change()

    async def _sendable(self) -> None:
        while True:
            if self._lost:
                raise self._lost
            if self._broken or self._closed:
                raise BrokenPipeError(f"stream {self.stream} takes no more bytes")
            if self._offset - self._consumed >= WINDOW_BYTES:
                await self._change()
                continue
            if self._connection.is_writable:
                return
            await self._connection.writable()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def credit(self, consumed: int) -> None:
        """A CREDIT arrived. Raises ProtocolError where it takes bytes back or acknowledges unsent ones."""
        if not self._consumed <= consumed <= self._offset:
            raise ProtocolError(
                f"stream {self.stream}: credit for {consumed} outside {self._consumed} to {self._offset}"
            )
        self._consumed = consumed
        self._changed.set()

    def break_off(self) -> None:
        """A BREAK arrived."""
        self._broken = True
        self._changed.set()

    def lose(self, error: FirkinError) -> None:
        """The connection is gone."""
        self._lost = error
        self._changed.set()


class StreamReceiver:
    """The reading end of stream `stream`; `offset` is that of the next byte that read() gives.

    One reader at a time. Stream 0 is a stream that has ended.
    """

    def __init__(self, connection: SendsFrames, stream: int, *, offset: int = 0) -> None:
        self.stream = stream
        self.offset = offset
        self._connection = connection
        self._chunks: deque[bytes] = deque()
        self._arrived = self._acknowledged = self._credited = offset
        self._ended = self._closed = stream == 0
        self._lost: FirkinError | None = None
        self._crediting: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether everything was read, or will be read no more."""
        return self._closed or (self._ended and not self._chunks)

    async def read(self, limit: int = MAX_DATA_BYTES, *, acknowledge: bool = True) -> bytes:
        """The next 1 to `limit` bytes, or b"" at the end.

        With `acknowledge` false the sender keeps the bytes until acknowledge() names their end. Raises the
        connection's error where that was lost, once everything that arrived before was read.
        """
        while not self._chunks:
            if self.ended:
                return b""
            if self._lost:
                raise self._lost
            self._changed.clear()
            await self._changed.wait()
        data = self._take(limit)
        self.offset += len(data)
        if acknowledge:
            self.acknowledge(self.offset)
        return data

    async def complete(self) -> None:
        """Wait until nothing more can arrive: its end did, it was closed, or the connection was lost."""
        while not (self._ended or self._closed or self._lost):
            self._changed.clear()
            await self._changed.wait()

    def acknowledge(self, offset: int) -> None:
        """Let the sender forget all bytes before `offset`, which read() must have given."""
        if not self._acknowledged <= offset <= self.offset:
            raise ValueError(f"offset {offset} is not within {self._acknowledged} to {self.offset}")
        self._acknowledged = offset
        owed = offset - self._credited
        if owed >= _CREDIT_AFTER_BYTES or (owed and self._ended and not self._chunks):
            self._credit()
        elif owed and not self._chunks and self._crediting is None:
            self._crediting = asyncio.get_running_loop().call_later(_CREDIT_AFTER_S, self._credit)

    def close(self) -> None:
        """Read no more: the sender is told to stop."""
        if not (self._closed or self._ended or self._lost):
            self._connection.send(Break(self.stream))
        self._closed = True
        self._chunks.clear()
        self._changed.set()

    def resume(self, offset: int) -> None:
        """Go on from `offset` after a resynchronisation: the sender sends everything from there again."""
        self.offset = self._arrived = self._acknowledged = offset
        self._credit()

    def _take(self, limit: int) -> bytes:
        first = self._chunks.popleft()
        if len(first) <= limit:
            return first
        self._chunks.appendleft(first[limit:])
        return first[:limit]

    def _credit(self) -> None:
        if self._crediting is not None:
            self._crediting.cancel()
            self._crediting = None
        self._credited = self._acknowledged
        if self.stream and not self._lost:
            self._connection.send(Credit(self.stream, self._credited))

    def data(self, frame: Data) -> None:
        """A DATA arrived. Raises ProtocolError where it leaves a gap, passes the window or follows EOF."""
        if frame.offset > self._arrived:
            raise ProtocolError(f"stream {self.stream}: bytes at {frame.offset}, expected {self._arrived}")
        fresh = frame.data[self._arrived - frame.offset :] if frame.offset < self._arrived else frame.data
        if not fresh:
            return
        if self._ended or self._arrived + len(fresh) > self._credited + WINDOW_BYTES:
            raise ProtocolError(
                f"stream {self.stream}: bytes beyond its {'end' if self._ended else 'window'}"
            )
        self._arrived += len(fresh)
        if self._closed:
            return
        if self._chunks and len(self._chunks[-1]) + len(fresh) <= _MERGE_BYTES:
            self._chunks[-1] += fresh
        else:
            self._chunks.append(fresh)
        self._changed.set()

    def eof(self, offset: int) -> None:
        """An EOF arrived. Raises ProtocolError where it is not at the end of what arrived."""
        if offset != self._arrived:
            raise ProtocolError(f"stream {self.stream}: ends at {offset}, but {self._arrived} bytes arrived")
        self._ended = True
        if self._acknowledged == self._arrived > self._credited:
            self._credit()
        self._changed.set()

    def lose(self, error: FirkinError) -> None:
        """The connection is gone; nothing more arrives."""
        self._lost = error
        self._changed.set()
