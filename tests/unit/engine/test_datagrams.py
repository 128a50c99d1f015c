"""Datagrams relayed to a container: each whole, to whoever asked, and nobody waits for one that is lost."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from firkin.engine.datagrams import relay_datagrams
from firkin.errors import FirkinError, MachineDied
from tests.unit.engine.test_forward import Pair


class Way(Pair):
    """A way into the container; `over` once it was given up."""

    def __init__(self) -> None:
        super().__init__()
        self.over = asyncio.Event()

    def abort(self) -> None:
        super().abort()
        self.over.set()


class Relay:
    """The host's port, and the containers' ends of its callers as they come."""

    def __init__(self, **words: Any) -> None:
        self.sock = _socket("::1")
        self.pairs: asyncio.Queue[Way] = asyncio.Queue()
        self.refused: asyncio.Queue[FirkinError] = asyncio.Queue()
        self.fails = False
        self.task = asyncio.create_task(
            relay_datagrams(self.sock, self._dial, self.refused.put_nowait, **({"most": 8} | words))
        )

    async def _dial(self) -> Any:
        if self.fails:
            raise MachineDied("gone")
        pair = Way()
        self.pairs.put_nowait(pair)
        return pair

    def caller(self) -> socket.socket:
        client = _socket("::1")
        client.connect(self.sock.getsockname())
        return client


def _socket(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((host, 0))
    return sock


@asynccontextmanager
async def relayed(**words: Any) -> AsyncIterator[Relay]:
    relay = Relay(**words)
    try:
        async with asyncio.timeout(60):
            yield relay
    finally:
        relay.task.cancel()
        await asyncio.gather(relay.task, return_exceptions=True)
        relay.sock.close()


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


async def taken(pair: Pair, count: int) -> bytes:
    loop, got = asyncio.get_running_loop(), b""
    while len(got) < count:
        got += await loop.sock_recv(pair.peer, count - len(got))
    return got


async def test_each_datagram_arrives_whole_and_the_answer_at_who_asked() -> None:
    loop = asyncio.get_running_loop()
    largest = os.urandom(65487)  # in one datagram over the loopback
    async with relayed() as relay:
        with relay.caller() as one, relay.caller() as two:
            one.send(b"one")
            first = await relay.pairs.get()
            two.send(b"")
            second = await relay.pairs.get()
            one.send(largest)
            assert await taken(first, 5 + 2 + len(largest)) == framed(b"one") + framed(largest)
            assert await taken(second, 2) == framed(b"")
            answer = framed(b"answer") + framed(b"") + framed(largest)
            await loop.sock_sendall(first.peer, answer[:5])
            await loop.sock_sendall(second.peer, framed(b"yours"))
            await loop.sock_sendall(first.peer, answer[5:])
            assert [await loop.sock_recv(one, 1 << 16) for _ in range(3)] == [b"answer", b"", largest]
            assert await loop.sock_recv(two, 1 << 16) == b"yours"
    assert first.aborted


async def test_callers_are_bounded_and_a_silent_one_makes_room() -> None:
    async with relayed(most=1, idle_s=0.05) as relay:
        with relay.caller() as one, relay.caller() as two:
            one.send(b"first")
            pair = await relay.pairs.get()
            two.send(b"lost")
            await pair.over.wait()  # after a while without a word
            two.send(b"taken")
            assert await taken(await relay.pairs.get(), 7) == framed(b"taken")


async def test_a_caller_that_cannot_be_served_is_told_of_and_the_next_one_is_served() -> None:
    async with relayed() as relay:
        with relay.caller() as one:
            relay.fails = True
            one.send(b"hello")
            assert isinstance(await relay.refused.get(), MachineDied)
            relay.fails = False
            one.send(b"again")
            assert await taken(await relay.pairs.get(), 7) == framed(b"again")


def test_a_port_for_datagrams_on_ipv6_is_bound_there_alone() -> None:
    from firkin.machine.spec import PublishedPort
    from firkin.network.publish import listening

    (port,) = PublishedPort.parse("[::1]::53/udp")
    with listening(port) as sock:
        assert (sock.type, sock.getsockname()[0]) == (socket.SOCK_DGRAM, "::1")
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
        with pytest.raises(BlockingIOError):
            sock.recv(1)
