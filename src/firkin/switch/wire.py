"""Wire: a machine's card as the stream of its VMM, in which each frame stands behind its length (u32, big
endian).

The rule: bounded both ways. A VMM that sends what is no frame loses its connection; one that does not read
loses frames. Frames that follow each other to the same machine are passed on as they came, in one piece: what
a frame costs is being looked at, and not its bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from firkin.network.frames import HEADER_BYTES, MAX_FRAME_BYTES
from firkin.switch.forwarding import HEAD_BYTES, Port

_LENGTH_BYTES = 4
MOST_WAITING_BYTES = 4 << 20
"""Of frames that the VMM has not read."""


class Wire(asyncio.Protocol):
    """Gives each frame to the port that `target` names by its head, or to `received` where that is None.
    Calls `lost` at the end.
    """

    def __init__(
        self,
        target: Callable[[bytes], Port | None],
        received: Callable[[bytes], None],
        lost: Callable[[], None],
    ) -> None:
        self._target = target
        self._received = received
        self._lost = lost
        self._rest = bytearray()
        """The beginning of a frame."""
        self._transport: asyncio.Transport | None = None
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._closed:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lost()

    def close(self) -> None:
        """Let go of the card, also where the connection to it is yet to be made."""
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    def send(self, frame: bytes) -> None:
        """Bring the machine `frame`, or drop it where too many wait."""
        self.forward(len(frame).to_bytes(_LENGTH_BYTES, "big") + frame)

    def forward(self, framed: bytes | memoryview) -> None:
        """Bring the machine these frames, each behind its length, but for those beyond what may wait."""
        transport = self._transport
        if transport is None:
            return
        room = MOST_WAITING_BYTES - transport.get_write_buffer_size()
        if len(framed) > room:
            framed = memoryview(framed)[: _whole(framed, room)]
        if framed:
            transport.write(framed)

    def data_received(self, data: bytes) -> None:
        at = self._completed(data) if self._rest else 0
        if at is not None:
            self._passed_on(data, at)

    def _completed(self, data: bytes) -> int | None:
        """Complete the frame that had begun, and pass it on: where the next one begins in `data`. None where
        there is no next one.
        """
        missing = max(0, _LENGTH_BYTES - len(self._rest))
        self._rest += data[:missing]
        if len(self._rest) < _LENGTH_BYTES:
            return None
        length = _length(self._rest, 0)
        if not _is_frame(length):
            self.close()
            return None
        end = missing + _LENGTH_BYTES + length - len(self._rest)
        self._rest += data[missing:end]
        if end > len(data):
            return None
        whole, self._rest = bytes(self._rest), bytearray()
        self._passed_on(whole, 0)
        return end

    def _passed_on(self, data: bytes, at: int) -> None:
        view = memoryview(data)
        size, begin, port = len(data), at, None
        while size - at >= _LENGTH_BYTES:
            length = _length(data, at)
            if not _is_frame(length):
                self.close()
                break
            first, end = at + _LENGTH_BYTES, at + _LENGTH_BYTES + length
            if end > size:
                break
            to = self._target(data[first : min(end, first + HEAD_BYTES)])
            if to is not port or to is None:
                if port is not None:
                    port.forward(view[begin:at])
                begin, port = at, to
            if to is None:
                self._received(data[first:end])
            at = end
        if port is not None:
            port.forward(view[begin:at])
        self._rest = bytearray(data[at:])


def _is_frame(length: int) -> bool:
    return HEADER_BYTES <= length <= MAX_FRAME_BYTES


def _length(data: bytes | bytearray | memoryview, at: int) -> int:
    return int.from_bytes(data[at : at + _LENGTH_BYTES], "big")


def _whole(framed: bytes | memoryview, room: int) -> int:
    """How many bytes of `framed` are whole frames that fit into `room`."""
    at = 0
    while (end := at + _LENGTH_BYTES + _length(framed, at)) <= room:
        at = end
    return at
