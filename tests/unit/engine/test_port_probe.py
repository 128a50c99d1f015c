"""PortProbe: what answers of a port, plain or by TLS, make of whoever is asked."""

from __future__ import annotations

import asyncio
import datetime
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

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


@pytest.mark.parametrize(
    ("service", "found"),
    [
        ("", (0, "SERVING")),
        ("busy", (1, "NOT_SERVING")),
        ("strange", (1, "9")),
        ("x" * 300, (1, "SERVICE_UNKNOWN")),
        ("missing", (1, "port 7: the call ended without a status: is there a service grpc.health.v1?")),
    ],
)
async def test_a_server_of_grpc_is_asked_how_its_service_is(service: str, found: tuple[int, str]) -> None:
    grpc = pytest.importorskip("grpc")
    aio = pytest.importorskip("grpc.aio")
    answers = {b"": 1, b"busy": 2, b"strange": 9, b"x" * 300: 3}
    seen: list[object] = []

    async def answer(request: bytes, context: Any) -> bytes:
        seen.append(context.invocation_metadata())
        assert not request or request[:1] == b"\x0a"
        name = request[1 + (2 if len(request) > 200 else 1) :]  # behind its length
        if name not in answers:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return b"\x08" + bytes([answers[name]])

    server = aio.server()
    methods = {"Check": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", methods),))
    PORTS.append(server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    try:
        assert await asked(PortTest.parse(("GRPC", "7", service))) == found
        assert ("user-agent", "firkin-probe") in {tuple(each) for each in cast(Any, seen[0])}
    finally:
        PORTS.pop()
        await server.stop(None)


FRAME = b"\0\0\7\0\0\0\0\0\1"  # DATA of stream 1 with 7 bytes


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "no answer of HTTP/2"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "no answer of HTTP/2"),
        (FRAME + b"\0\0\0", "no answer of HTTP/2"),
        (b"\0\0\0\1\5\0\0\0\1", "ended without a status"),
        (b"\0\0\x08\7\0\0\0\0\0" + bytes(7) + b"\x0b", r"refused \(HTTP/2 error 11\)"),
        (b"\0\0\7\0\x08\0\0\0\1" + b"\x07" + bytes(6), "no answer of HTTP/2"),
        (FRAME + b"\0\0\0\0\2\x0a\1", "none of grpc.health.v1"),
        (FRAME + b"\1\0\0\0\2\x08\1", "none of grpc.health.v1"),
        (FRAME + b"\0\xff\0\0\0\x08\1", "none of grpc.health.v1"),
        ((b"\0\0\0\4\1\0\0\0\0" * 30_000), "no answer of HTTP/2"),
    ],
)
async def test_what_is_no_answer_of_grpc_is_bounded_and_a_failure(answer: bytes, said: str) -> None:
    async with answering(answer):
        found, told = await asked(PortTest(port=7, scheme="grpc", path=""))
    assert found == 1
    assert re.search(said, told), told


async def test_a_whole_message_in_padded_pieces_is_the_answer() -> None:
    pieces = b"\0\0\6\0\x08\0\0\0\1" + b"\2" + b"\0\0\0" + b"xx" + b"\0\0\4\0\0\0\0\0\1" + b"\0\2\x08\1"
    async with answering(pieces):
        assert await asked(PortTest(port=7, scheme="grpc", path="")) == (0, "SERVING")
