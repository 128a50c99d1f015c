"""GrpcProbe: asks a service of grpc.health.v1 how it is: one unary call over HTTP/2 without TLS.

    ► preface, SETTINGS, HEADERS, DATA       all of the call at once (RFC 9113; gRPC's PROTOCOL-HTTP2.md)
    ◄ DATA of its stream, until there is one whole message; SETTINGS and PING are acknowledged

The rule: what comes is bounded. Header blocks are passed over unread, since whoever is serving says so in the
message, and all else is a failure.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable

from firkin.errors import ProtocolError

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7
_END_STREAM = _ACK = 0x1
_END_HEADERS, _PADDED = 0x4, 0x8
_STREAM = 1
_MOST_FRAME_BYTES = 16384
_MOST_BYTES = 1 << 18
_MOST_MESSAGE_BYTES = 1024
_STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")

Read = Callable[[], Awaitable[bytes]]
Write = Callable[[bytes], Awaitable[None]]


async def check(port: int, service: str, read: Read, write: Write) -> str:
    """The status that `service` ("" for the whole server) says it has, such as SERVING.

    Raises ProtocolError where what answers is no such server, or does not know the service.
    """
    await write(_call(port, service))
    frames, message = _Frames(read), b""
    while True:
        kind, flags, stream, content = await frames.next()
        if kind in (_SETTINGS, _PING) and not flags & _ACK:
            await write(_frame(kind, _ACK, 0, content if kind == _PING else b""))
        elif kind in (_RESET, _GOAWAY):
            raise ProtocolError(f"the call was refused (HTTP/2 error {int.from_bytes(content[-4:], 'big')})")
        elif stream == _STREAM and kind in (_DATA, _HEADERS):
            if kind == _DATA:
                message += _unpadded(flags, content)
            if (status := _status(message)) is not None:
                return status
            if flags & _END_STREAM:
                raise ProtocolError("the call ended without a status: is there a service grpc.health.v1?")


def _call(port: int, service: str) -> bytes:
    headers = (
        (":method", "POST"), (":scheme", "http"), (":path", "/grpc.health.v1.Health/Check"),
        (":authority", f"localhost:{port}"), ("te", "trailers"), ("content-type", "application/grpc"),
        ("user-agent", "firkin-probe"),
    )  # fmt: skip
    # Literals that are in no table, their names neither (RFC 7541, 6.2.2).
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)
    named = service.encode()
    request = b"\x0a" + _varint(len(named)) + named if named else b""
    message = struct.pack(">BI", 0, len(request)) + request
    return b"".join(
        (
            _PREFACE,
            _frame(_SETTINGS, 0, 0, b""),
            _frame(_HEADERS, _END_HEADERS, _STREAM, block),
            _frame(_DATA, _END_STREAM, _STREAM, message),
        )
    )


def _text(text: str) -> bytes:
    assert len(text) < 127  # more would need a second byte
    return bytes([len(text)]) + text.encode()


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return len(content).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + content


class _Frames:
    """The frames of a connection, one after the other."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._came = b""
        self._left = _MOST_BYTES

    async def next(self) -> tuple[int, int, int, bytes]:
        """Type, flags, stream and content of the next one. Raises ProtocolError."""
        head = await self._take(9)
        size, (kind, flags, stream) = int.from_bytes(head[:3], "big"), struct.unpack(">BBI", head[3:])
        if size > _MOST_FRAME_BYTES:
            raise ProtocolError("no answer of HTTP/2")
        return kind, flags, stream & 0x7FFFFFFF, await self._take(size)

    async def _take(self, size: int) -> bytes:
        while len(self._came) < size:
            piece = await self._read()
            self._left -= len(piece)
            if not piece or self._left < 0:
                raise ProtocolError("no answer of HTTP/2")
            self._came += piece
        taken, self._came = self._came[:size], self._came[size:]
        return taken


def _unpadded(flags: int, content: bytes) -> bytes:
    if not flags & _PADDED:
        return content
    if not content or content[0] >= len(content):
        raise ProtocolError("no answer of HTTP/2")
    return content[1 : len(content) - content[0]]


def _status(message: bytes) -> str | None:
    """What a HealthCheckResponse says; None where it is not whole yet."""
    if len(message) < 5:
        return None
    compressed, size = struct.unpack(">BI", message[:5])
    if compressed or size > _MOST_MESSAGE_BYTES:
        raise ProtocolError("the answer is none of grpc.health.v1")
    if len(message) < 5 + size:
        return None
    number, at, body = 0, 0, message[5 : 5 + size]
    while at < len(body):  # further fields would be of a later version
        field, at = _number(body, at)
        value, at = _number(body, at)
        if field & 7:
            raise ProtocolError("the answer is none of grpc.health.v1")
        number = value if field >> 3 == 1 else number
    return _STATUSES[number] if number < len(_STATUSES) else str(number)


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def _number(body: bytes, at: int) -> tuple[int, int]:
    """A varint, and where it ends."""
    number = 0
    for place, byte in enumerate(body[at : at + 10]):
        number |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            return number, at + place + 1
    raise ProtocolError("the answer is none of grpc.health.v1")
