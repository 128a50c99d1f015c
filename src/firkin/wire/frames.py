"""Frames of docs/design/wire.md: bytes to values and back, without I/O.

    u8 type | u8 flags = 0 | u16 reserved = 0 | u32 stream | u32 length | payload | u8 0xA5    (little-endian)

The rule: nothing that a peer sends is held before its header was checked against the bounds below, so that a
parser never holds more than one frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from firkin.errors import ProtocolError
from firkin.wire.messages import MAX_CONTROL_BYTES

MAX_DATA_BYTES = 1 << 16
WINDOW_BYTES = 1 << 18
NONCE_BYTES = 16
MAX_STREAM = (1 << 32) - 1
RESYNC_PADDING = bytes(MAX_CONTROL_BYTES + 16)
"""Ends whatever frame a dead host left half sent, and is PAD after that."""

_HEADER = Struct("<BBHII")
_OFFSET = Struct("<Q")
_END = b"\xa5"
"""Closes every frame: a half frame that RESYNC_PADDING filled up ends in a zero, and is refused."""
_HEADER_AND_OFFSET = Struct("<BBHIIQ")
_PAD = re.compile(rb"\0+")
_SYNC, _CONTROL, _DATA, _EOF, _CREDIT, _BREAK = range(1, 7)
_PAYLOAD_BYTES = {
    _SYNC: (NONCE_BYTES, NONCE_BYTES),
    _CONTROL: (1, MAX_CONTROL_BYTES),
    _DATA: (9, 8 + MAX_DATA_BYTES),
    _EOF: (8, 8),
    _CREDIT: (8, 8),
    _BREAK: (0, 0),
}


class Sync(NamedTuple):
    """Both sides begin anew; the agent answers with the same nonce."""

    nonce: bytes


class Control(NamedTuple):
    """One msgpack map, still encoded."""

    payload: bytes


class Data(NamedTuple):
    """1 to 65,536 bytes of a stream, the first of them at `offset`."""

    stream: int
    offset: int
    data: bytes


class Eof(NamedTuple):
    """The stream ends at `offset`."""

    stream: int
    offset: int


class Credit(NamedTuple):
    """All bytes of the stream before `consumed` were taken."""

    stream: int
    consumed: int


class Break(NamedTuple):
    """The stream's receiver will read no more."""

    stream: int


Frame = Sync | Control | Data | Eof | Credit | Break


def encode(frame: Frame) -> bytes:
    """The bytes of `frame`. Its values must be within the bounds of the wire."""
    match frame:
        case Data(stream, offset, data):
            return b"".join((_HEADER_AND_OFFSET.pack(_DATA, 0, 0, stream, 8 + len(data), offset), data, _END))
        case Credit(stream, consumed):
            return _HEADER_AND_OFFSET.pack(_CREDIT, 0, 0, stream, 8, consumed) + _END
        case Control(payload):
            return _HEADER.pack(_CONTROL, 0, 0, 0, len(payload)) + payload + _END
        case Eof(stream, offset):
            return _HEADER_AND_OFFSET.pack(_EOF, 0, 0, stream, 8, offset) + _END
        case Break(stream):
            return _HEADER.pack(_BREAK, 0, 0, stream, 0) + _END
        case Sync(nonce):
            return _HEADER.pack(_SYNC, 0, 0, 0, NONCE_BYTES) + nonce + _END


class FrameParser:
    """Cuts a byte stream into frames, however it arrives.

    With `nonce`, everything before the SYNC that carries it is dropped: it is the rest of an earlier session.
    That search compares bytes, not frames, since the stream may begin in the middle of one.
    """

    def __init__(self, *, nonce: bytes | None = None) -> None:
        self._awaited = b"" if nonce is None else encode(Sync(nonce))
        self._tail = bytearray()
        self._kept_from = 0
        self._needed = 0

    def feed(self, received: bytes) -> Iterator[Frame]:
        """The frames that `received` completes. Consume the iterator wholly, or use the parser no more.

        Raises ProtocolError, after the frames before the offence.
        """
        if self._tail:
            self._tail += received
            if len(self._tail) < self._needed:
                return
            received = bytes(self._tail)
            self._tail.clear()
        position = 0
        if self._awaited:
            position = self._find_sync(received)
        while whole := self._next_frame(received, position):
            yield _decode(received, *whole)
            position = whole[1]
        self._tail += memoryview(received)[self._kept_from :]

    def _find_sync(self, received: bytes) -> int:
        """Where the awaited SYNC begins, or where the first byte lies that may still belong to it."""
        position = received.find(self._awaited)
        if position < 0:
            return max(0, len(received) - len(self._awaited) + 1)
        self._awaited = b""
        return position

    def _next_frame(self, received: bytes, position: int) -> tuple[int, int] | None:
        """Start and end of the next whole frame at or after `position`, its header checked.

        None where it is not whole yet; then `_kept_from` and `_needed` say what to keep and to wait for.
        """
        if self._awaited:
            self._kept_from, self._needed = position, len(self._awaited)
            return None
        if pad := _PAD.match(received, position):
            position = pad.end()
        self._kept_from, self._needed = position, _HEADER.size
        if len(received) - position < _HEADER.size:
            return None
        end = position + _HEADER.size + _payload_bytes(*_HEADER.unpack_from(received, position)) + 1
        self._needed = end - position
        return (position, end) if end <= len(received) else None


def _payload_bytes(kind: int, flags: int, reserved: int, stream: int, length: int) -> int:
    """`length`, once the whole header was found to be one that the wire allows."""
    bounds = _PAYLOAD_BYTES.get(kind)
    if bounds is None or flags or reserved:
        raise ProtocolError(f"unknown frame: type {kind}, flags {flags}, reserved {reserved}")
    if (stream == 0) != (kind in (_SYNC, _CONTROL)):
        raise ProtocolError(f"frame of type {kind} on stream {stream}")
    if not bounds[0] <= length <= bounds[1]:
        raise ProtocolError(f"frame of type {kind} with {length} bytes of payload")
    return length


def _decode(received: bytes, start: int, after: int) -> Frame:
    kind, _, _, stream, _ = _HEADER.unpack_from(received, start)
    end = after - 1
    if received[end] != _END[0]:
        raise ProtocolError(f"frame of type {kind} on stream {stream} without its end mark")
    payload = start + _HEADER.size
    if kind == _SYNC:
        return Sync(received[payload:end])
    if kind == _CONTROL:
        return Control(received[payload:end])
    if kind == _BREAK:
        return Break(stream)
    (offset,) = _OFFSET.unpack_from(received, payload)
    if kind == _DATA:
        return Data(stream, offset, received[payload + _OFFSET.size : end])
    return Eof(stream, offset) if kind == _EOF else Credit(stream, offset)
