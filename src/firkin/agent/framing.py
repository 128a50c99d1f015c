"""A connected socket that gives and takes frames: the only place where the wire meets asyncio's transports.

The rule: reading never pauses. What a peer may send is bounded by the credit of each stream and by the
number of requests that it may have open, so that a slow reader of one stream never stops the frames of
another.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from firkin.errors import ProtocolError
from firkin.wire.frames import Frame, FrameParser, encode

_WRITE_BUFFER_BYTES = 1 << 18


class FrameConnection(asyncio.BufferedProtocol):
    """Frames over one stream socket, which it owns.

    `on_frame` is called with each frame as it arrives and may raise ProtocolError; `on_lost` is called once
    with the reason, None for an orderly end by the peer.
    """

    def __init__(
        self, on_frame: Callable[[Frame], None], on_lost: Callable[[Exception | None], None]
    ) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._parser = FrameParser()
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._lost = asyncio.Event()
        self._offence: ProtocolError | None = None
        self._held: bytearray | None = None
        self._full = False

    async def take(self, sock: socket.socket) -> None:
        """Begin to read from `sock`, a connected stream socket."""
        sock.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: self, sock=sock)

    def expect_sync(self, nonce: bytes) -> None:
        """Drop everything that arrives before the SYNC with `nonce`."""
        self._parser = FrameParser(nonce=nonce)

    def send(self, *frames: Frame) -> None:
        """Queue `frames`; after the connection is lost, they go nowhere."""
        self.send_bytes(b"".join(map(encode, frames)) if len(frames) > 1 else encode(frames[0]))

    def send_bytes(self, raw: bytes) -> None:
        if self._held is not None:
            self._held += raw
        elif self._transport is not None and not self._transport.is_closing():
            self._transport.write(raw)

    def hold(self) -> None:
        """Keep back what is sent from now on, until let_go(). The queue has no room meanwhile."""
        self._held = bytearray()
        self._tell_room()

    def let_go(self) -> None:
        """Send what was kept back."""
        held, self._held = self._held or b"", None
        self.send_bytes(bytes(held))
        self._tell_room()

    @property
    def is_writable(self) -> bool:
        """Whether the queue has room."""
        return self._writable.is_set()

    async def writable(self) -> None:
        """Wait until the queue has room, or the connection is lost."""
        await self._writable.wait()

    def finish(self) -> None:
        """Close once the queue is sent, without waiting for that."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now; what is queued is dropped."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Close once the queue is sent, at the latest after a second; closed when this returns."""
        if self._transport is None:
            return
        self._transport.close()
        try:
            await asyncio.wait_for(self._lost.wait(), timeout=1)
        except TimeoutError:
            self._transport.abort()
            await self._lost.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        self._transport = transport
        self._writable.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._parser.room()

    def buffer_updated(self, nbytes: int) -> None:
        if self._offence is not None:
            return
        try:
            for frame in self._parser.filled(nbytes):
                self._on_frame(frame)
        except ProtocolError as error:
            self._offence = error
            self.abort()

    def connection_lost(self, reason: Exception | None) -> None:
        self._lost.set()
        self._writable.set()
        self._on_lost(self._offence or reason)

    def pause_writing(self) -> None:
        self._full = True
        self._tell_room()

    def resume_writing(self) -> None:
        self._full = False
        self._tell_room()

    def _tell_room(self) -> None:
        if (self._full or self._held is not None) and not self._lost.is_set():
            self._writable.clear()
        else:
            self._writable.set()
