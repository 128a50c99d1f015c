"""PortProbe: asks a port of a container as its health check says, over the agent, whatever its network.

The rule: the guest is not believed: of its answer one line is read, bounded, and nothing of it is kept but
that line, or the status of a service.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from firkin.container.port_test import PortTest
from firkin.engine.connection import Connection
from firkin.errors import AgentError, NotListening, ProtocolError
from firkin.wire.sockets import Place

T = TypeVar("T")
Dial = Callable[[Place], Awaitable[Connection]]
_LINE_BYTES = 1024
_PIECE_BYTES = 16384
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?")


class _Talk(Protocol):
    async def read(self) -> bytes: ...
    async def write(self, data: bytes) -> None: ...


async def look(test: PortTest, dial: Dial, said: bytearray) -> int:
    """0 where the port answers as it should, else 1; what there is to say of it is `said`."""
    try:
        connection = await dial(Place(address=test.address, port=test.port))
    except (AgentError, NotListening) as error:
        said += str(error).encode()
        return 1
    try:
        return await _ask(test, connection, said) if test.scheme else 0
    finally:
        connection.abort()


async def _ask(test: PortTest, connection: Connection, said: bytearray) -> int:
    plain = _Plain(connection)
    try:
        if test.scheme == "grpc":
            from firkin.engine.grpc_probe import check

            status = await check(test.port, test.path, plain.read, plain.write)
            said += status.encode()
            return 0 if status == "SERVING" else 1
        talk: _Talk = await _Tls.begin(plain) if test.scheme == "https" else plain
        await talk.write(test.request)
        line = await _line(talk)
    except (ssl.SSLError, ConnectionError, AgentError, ProtocolError) as error:
        said += f"port {test.port}: {error}".encode()
        return 1
    found = _STATUS.fullmatch(line)
    said += line if found else b"no answer of HTTP: " + line
    return 0 if found and 200 <= int(found[1]) < 400 else 1


async def _line(talk: _Talk) -> bytes:
    """The first line of what comes, or the beginning of it."""
    came = b""
    while b"\n" not in came and len(came) < _LINE_BYTES and (piece := await talk.read()):
        came += piece
    return came.partition(b"\n")[0].rstrip(b"\r")[:_LINE_BYTES]


class _Plain:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self) -> bytes:
        return await self._connection.reader.read(_PIECE_BYTES)

    async def write(self, data: bytes) -> None:
        await self._connection.writer.write(data)


class _Tls:
    """TLS with whoever answers, over a connection that is no socket of this host."""

    def __init__(self, below: _Plain) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._below = below
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._came, self._goes)

    @classmethod
    async def begin(cls, below: _Plain) -> _Tls:
        made = cls(below)
        await made._do(made._tls.do_handshake)
        return made

    async def read(self) -> bytes:
        try:
            return await self._do(lambda: self._tls.read(_PIECE_BYTES))
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    async def write(self, data: bytes) -> None:
        await self._do(lambda: self._tls.write(data))

    async def _do(self, work: Callable[[], T]) -> T:
        while True:
            try:
                done = work()
            except ssl.SSLWantReadError:
                await self._flush()
                piece = await self._below.read()
                self._came.write(piece) if piece else self._came.write_eof()
                continue
            await self._flush()
            return done

    async def _flush(self) -> None:
        if data := self._goes.read():
            await self._below.write(data)
