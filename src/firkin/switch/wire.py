"""Wire: a machine's card as the stream of its VMM, in which each frame stands behind its length (u32, big
endian).

The rule: bounded both ways. A VMM that sends what is no frame loses its connection; one that does not read
loses frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from firkin.network.frames import HEADER_BYTES, MAX_FRAME_BYTES

_LENGTH_BYTES = 4
MOST_WAITING_BYTES = 4 << 20
"""Of frames that the VMM has not read."""


class Wire(asyncio.Protocol):
    """Calls `received` with each frame, and `lost` at the end."""

    def __init__(self, received: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        self._received = received
        self._lost = lost
        self._rest = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lost()

    def close(self) -> None:
        """Let go of the card."""
        if self._transport is not None:
            self._transport.abort()

    def send(self, frame: bytes) -> None:
        """Bring the machine `frame`, or drop it where too many wait."""
        transport = self._transport
        if transport is not None and transport.get_write_buffer_size() < MOST_WAITING_BYTES:
            transport.write(len(frame).to_bytes(_LENGTH_BYTES, "big") + frame)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            self._rest += data
            data = bytes(self._rest)
        at = 0
        while len(data) - at >= _LENGTH_BYTES:
            length = int.from_bytes(data[at : at + _LENGTH_BYTES], "big")
            if not HEADER_BYTES <= length <= MAX_FRAME_BYTES:
                self.close()
                return
            end = at + _LENGTH_BYTES + length
            if len(data) < end:
                break
            self._received(data[at + _LENGTH_BYTES : end])
            at = end
        self._rest = bytearray(data[at:])
