"""Relays between a host's socket and a container's: every byte, then the end, in each direction by itself."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from firkin.engine.forward import MAX_RELAYS, relay, to_container
from firkin.engine.host_socket import connect, listening, place_of
from firkin.errors import FirkinError, HostUnsupported, NotListening, PortInUse
from firkin.wire.sockets import Place

MANY = os.urandom(3 << 20)


class Half:
    """One direction of a connection whose other end is a socket of this test's."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.broken = self.ended = False

    async def read(self, limit: int = 65536) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.sock, limit)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def drain(self) -> None: ...

    async def wait_broken(self) -> None:
        await asyncio.Event().wait()


class Reading(Half):
    def close(self) -> None:
        self.ended = True


class Writing(Half):
    def close(self) -> None:
        if not self.ended:
            self.ended = True
            self.sock.shutdown(socket.SHUT_WR)


class Pair:
    """A Connection over a socket pair; `peer` is the container's program."""

    def __init__(self) -> None:
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.peer.setblocking(False)
        self.reader, self.writer = Reading(ours), Writing(ours)
        self.closed = self.aborted = False

    async def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True
        self.reader.sock.close()
        self.peer.close()


async def drained(sock: socket.socket) -> bytes:
    loop, got = asyncio.get_running_loop(), bytearray()
    while data := await loop.sock_recv(sock, 65536):
        got += data
    return bytes(got)


async def test_each_direction_ends_by_itself_after_its_last_byte() -> None:
    loop, pair = asyncio.get_running_loop(), Pair()
    client, ours = socket.socketpair()
    with client, ours:
        client.setblocking(False)
        ours.setblocking(False)
        relaying = asyncio.create_task(relay(pair, ours))
        sending = asyncio.create_task(loop.sock_sendall(client, MANY))
        received = asyncio.create_task(drained(pair.peer))
        await sending
        client.shutdown(socket.SHUT_WR)
        assert await received == MANY
        assert not relaying.done()  # the other direction goes on
        answering = asyncio.create_task(loop.sock_sendall(pair.peer, MANY))
        answer = asyncio.create_task(drained(client))
        await answering
        pair.peer.shutdown(socket.SHUT_WR)
        assert await answer == MANY
        await relaying
        assert pair.closed


async def test_a_peer_that_vanishes_ends_the_relay() -> None:
    pair = Pair()
    client, ours = socket.socketpair()
    with ours:
        ours.setblocking(False)
        relaying = asyncio.create_task(relay(pair, ours))
        client.close()
        pair.peer.shutdown(socket.SHUT_WR)
        await asyncio.wait_for(relaying, 60)
        assert pair.closed


async def test_no_more_than_so_many_relays_run_at_once(tmp_path: Path) -> None:
    dialled: list[Pair] = []
    more = asyncio.Event()

    async def dial() -> Pair:
        dialled.append(Pair())
        more.set()
        return dialled[-1]

    async def until(count: int) -> None:
        while len(dialled) < count:
            more.clear()
            await more.wait()

    with listening(Place(path=str(tmp_path / "s"))) as sock:
        serving = asyncio.create_task(to_container(sock, dial, lambda error: None))
        clients = [await connect(Place(path=str(tmp_path / "s"))) for _ in range(MAX_RELAYS + 4)]
        await asyncio.wait_for(until(MAX_RELAYS), 60)
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(dialled) == MAX_RELAYS
        clients[0].close()
        dialled[0].peer.shutdown(socket.SHUT_WR)
        await asyncio.wait_for(until(MAX_RELAYS + 1), 60)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        assert all(pair.aborted for pair in dialled)
        for client in clients:
            client.close()


async def test_who_connects_while_nobody_listens_inside_is_let_go_and_told_of(tmp_path: Path) -> None:
    told: list[FirkinError] = []

    async def dial() -> Pair:
        raise NotListening("nobody listens")

    with listening(Place()) as sock:
        serving = asyncio.create_task(to_container(sock, dial, told.append))
        for _ in range(MAX_RELAYS + 2):
            with await connect(place_of(sock, Place())) as client:
                assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    assert len(told) == MAX_RELAYS + 2


async def test_a_socket_on_the_host_has_its_mode_and_goes_with_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "s"
    before = os.umask(0o077)
    try:
        with listening(Place(path=str(path)), mode=0o660):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            with pytest.raises(PortInUse, match="in use"), listening(Place(path=str(path))):
                pass
        assert not path.exists()
    finally:
        os.umask(before)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(NotListening):
        await connect(Place(path=str(path)))
    with listening(Place(path=str(path))):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.unlink()
        path.write_text("somebody else's")
    assert path.read_text() == "somebody else's"
    with pytest.raises(PortInUse), listening(Place(path=str(path))):
        pass
    with pytest.raises(HostUnsupported), listening(Place(path=str(tmp_path / "none" / "s"))):
        pass
    with listening(Place()) as sock:
        port = place_of(sock, Place()).port
        with pytest.raises(PortInUse, match=f"port {port} on the host"), listening(Place(port=port)):
            pass
