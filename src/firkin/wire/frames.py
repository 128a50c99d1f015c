"""Frames of docs/design/wire.md: bytes to values and back, without I/O.

    u8 type | u8 flags = 0 | u16 reserved = 0 | u32 stream | u32 length | payload | u8 0xA5    (little-endian)

The rule: nothing that a peer sends makes room for itself before its header was checked against the bounds
below: a parser has room for one frame, and for as much as is received at a time.
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
_LEAST_ROOM_BYTES, _MOST_ROOM_BYTES = 1 << 14, 1 << 18
"""What a parser receives at a time: more when that was filled. A larger frame gets room of its own."""
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
    """Cuts a byte stream into frames, however it arrives: feed() it, or receive into room() and say filled().

    With `nonce`, everything before the SYNC that carries it is dropped: it is the rest of an earlier session.
    That search compares bytes, not frames, since the stream may begin in the middle of one.
    """

    def __init__(self, *, nonce: bytes | None = None) -> None:
        self._awaited = b"" if nonce is None else encode(Sync(nonce))
        self._bytes = bytearray(_LEAST_ROOM_BYTES)
        self._view = memoryview(self._bytes)
        self._first = self._last = 0
        self._needed = _HEADER.size

    def feed(self, received: bytes | memoryview) -> Iterator[Frame]:
        """The frames that `received` completes. Consume the iterator wholly, or use the parser no more.

        Raises ProtocolError, after the frames before the offence.
        """
        rest = memoryview(received)
        while rest:
            room = self.room()
            part = min(len(room), len(rest))
            room[:part] = rest[:part]
            rest = rest[part:]
            yield from self.filled(part)

    def room(self) -> memoryview:
        """Where the next bytes go: some of it, from its beginning on. It is never empty."""
        held, most = self._last - self._first, len(self._bytes)
        if self._last == most < _MOST_ROOM_BYTES or self._needed > most:
            self._grow(max(2 * most, 1 << (self._needed - 1).bit_length()))
        elif not held or most - self._last < max(self._needed - held, most // 4):
            self._view[:held] = self._view[self._first : self._last]
            self._first, self._last = 0, held
        return self._view[self._last :]

    def filled(self, count: int) -> Iterator[Frame]:
        """`count` bytes were put into room(): the frames that they complete, as of feed()."""
        self._last += count
        if self._awaited and not self._find_sync():
            return
        while self._last - self._first >= self._needed and (end := self._end_of_frame()):
            frame = _decode(self._view, self._first, end)
            self._first = end
            self._needed = _HEADER.size
            yield frame

    def _grow(self, size_bytes: int) -> None:
        held = self._bytes[self._first : self._last]
        self._bytes = bytearray(size_bytes)
        self._view = memoryview(self._bytes)
        self._view[: len(held)] = held
        self._first, self._last = 0, len(held)

    def _find_sync(self) -> bool:
        """Whether the awaited SYNC is the next frame now. Else what cannot belong to it is dropped."""
        position = self._bytes.find(self._awaited, self._first, self._last)
        if position < 0:
            self._first = max(self._first, self._last - len(self._awaited) + 1)
            return False
        self._first = position
        self._awaited = b""
        return True

    def _end_of_frame(self) -> int:
        """Where the next frame ends, its header checked; 0 where it is not whole yet, and `_needed` says what
        to wait for.
        """
        if self._bytes[self._first] == 0 and (pad := _PAD.match(self._bytes, self._first, self._last)):
            self._first = pad.end()
        if self._last - self._first < _HEADER.size:
            self._needed = _HEADER.size
            return 0
        payload_bytes = _payload_bytes(*_HEADER.unpack_from(self._bytes, self._first))
        self._needed = _HEADER.size + payload_bytes + 1
        end = self._first + self._needed
        return end if end <= self._last else 0


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


def _decode(received: memoryview, start: int, after: int) -> Frame:
    kind, _, _, stream, _ = _HEADER.unpack_from(received, start)
    end = after - 1
    if received[end] != _END[0]:
        raise ProtocolError(f"frame of type {kind} on stream {stream} without its end mark")
    payload = start + _HEADER.size
    if kind == _SYNC:
        return Sync(bytes(received[payload:end]))
    if kind == _CONTROL:
        return Control(bytes(received[payload:end]))
    if kind == _BREAK:
        return Break(stream)
    (offset,) = _OFFSET.unpack_from(received, payload)
    if kind == _DATA:
        return Data(stream, offset, bytes(received[payload + _OFFSET.size : end]))
    return Eof(stream, offset) if kind == _EOF else Credit(stream, offset)
