"""PortProbe: what answers of a port, plain or by TLS, make of whoever is asked."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from firkin.container.port_test import PortTest
from firkin.engine.connection import Connection
from firkin.engine.port_probe import look
from firkin.errors import NotListening
from firkin.wire.sockets import Place


class Dialled:
    """A connection of this host, as one into a container."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self._writer = reader, writer
        self.aborted = False

    @property
    def writer(self) -> Dialled:
        return self

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def abort(self) -> None:
        self.aborted = True
        self._writer.transport.abort()


@asynccontextmanager
async def answering(answer: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[list[bytes]]:
    """A server at PORT that says `answer` to whoever has asked; the requests that it got."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first = await reader.read(1)
            asked.append(first if first == b"\x16" else first + await reader.readuntil(b"\r\n\r\n"))
        except asyncio.IncompleteReadError:
            asked.append(b"")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        PORTS.append(server.sockets[0].getsockname()[1])
        try:
            yield asked
        finally:
            PORTS.pop()


PORTS: list[int] = []


async def asked(test: PortTest) -> tuple[int, str]:
    """What is found, and what is said of it; the server at the last of PORTS stands for the port."""
    dialled: list[Dialled] = []

    async def dial(place: Place) -> Connection:
        assert place == Place(address="", port=7)
        if not PORTS:
            raise NotListening("cannot connect to port 7 in container: Connection refused")
        dialled.append(Dialled(*await asyncio.open_connection("127.0.0.1", PORTS[-1])))
        return cast(Connection, dialled[-1])

    said = bytearray()
    async with asyncio.timeout(60):
        found = await look(test, dial, said)
    assert all(each.aborted for each in dialled)
    return found, said.decode()


PLAIN = PortTest(port=7, scheme="http", host="localhost", path="/ready")


async def test_whoever_accepts_is_healthy_where_only_that_is_asked() -> None:
    refused = (1, "cannot connect to port 7 in container: Connection refused")
    assert await asked(PortTest(port=7)) == refused
    assert await asked(PLAIN) == refused
    async with answering(b"") as requests:
        assert await asked(PortTest(port=7)) == (0, "")
    assert requests in ([], [b""])


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nbody", (0, "HTTP/1.1 200 OK")),
        (b"HTTP/1.0 302 Found\nLocation: /x\n\n", (0, "HTTP/1.0 302 Found")),
        (b"HTTP/1.1 204\r\n\r\n", (0, "HTTP/1.1 204")),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", (1, "HTTP/1.1 404 Not Found")),
        (b"HTTP/1.1 503 Busy\r\n\r\n", (1, "HTTP/1.1 503 Busy")),
        (b"SSH-2.0-x\r\n", (1, "no answer of HTTP: SSH-2.0-x")),
        (b"HTTP/1.1 999 ?\r\n", (1, "no answer of HTTP: HTTP/1.1 999 ?")),
        (b"", (1, "no answer of HTTP: ")),
        (b"x" * 5000, (1, "no answer of HTTP: " + "x" * 1024)),
    ],
)
async def test_an_answer_from_200_to_399_is_healthy_and_one_line_of_it_is_kept(
    answer: bytes, found: tuple[int, str]
) -> None:
    async with answering(answer) as requests:
        assert await asked(PLAIN) == found
    assert requests[0].startswith(b"GET /ready HTTP/1.1\r\nHost: localhost:7\r\n")


@pytest.fixture
def certified(tmp_path: Path) -> Callable[[], ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody else")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now)
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "pem").write_bytes(pem + private)

    def context() -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(tmp_path / "pem")
        return made

    return context


async def test_a_certificate_of_whoever_answers_is_not_looked_at(
    certified: Callable[[], ssl.SSLContext],
) -> None:
    secure = PortTest(port=7, scheme="https", host="localhost")
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n", certified()) as requests:
        assert await asked(secure) == (0, "HTTP/1.1 200 OK")
    assert requests[0].startswith(b"GET / HTTP/1.1")
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"):
        found, said = await asked(secure)
        assert (found, said.startswith("port 7: ")) == (1, True), said
