"""Forward: connections between sockets of the host and sockets of a container, one relay for each.

    host socket ──accept──► relay ──dial──► container         to_container()
    container ──accept──► relay ──connect──► host socket      to_host()

The rule: a relay copies every byte and then closes the writer, in either direction by itself. At most
MAX_RELAYS run at a time; whoever connects beyond that waits in the kernel's backlog.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from firkin.engine.connection import Connection, Listener
from firkin.engine.host_socket import connect
from firkin.engine.relay import until_either
from firkin.errors import FirkinError
from firkin.wire.sockets import Place

MAX_RELAYS = 32
_CHUNK_BYTES = 1 << 16

T = TypeVar("T")
Relays = set["asyncio.Task[None]"]
Refused = Callable[[FirkinError], object]
"""Hears why a connection came to nothing."""


async def to_container(
    listening: socket.socket,
    dial: Callable[[], Awaitable[Connection]],
    refused: Refused,
    relays: Relays | None = None,
    *,
    most: int = MAX_RELAYS,
) -> None:
    """Relay whoever connects to `listening`, a socket of the host, to what `dial` gives; for ever.

    `relays` holds those that run, at most `most` of this socket.
    """
    loop = asyncio.get_running_loop()

    async def accept() -> socket.socket:
        return (await loop.sock_accept(listening))[0]

    async def one(client: socket.socket) -> None:
        with client:
            await relay(await dial(), client)

    await _each(accept, one, refused, relays, most)


async def to_host(listener: Listener, host: Place, refused: Refused, relays: Relays | None = None) -> None:
    """Relay whoever connects to `listener`, in the container, to `host`; until the listener is lost.

    `relays` holds those that run. Raises MachineDied, WrongState.
    """

    async def one(connection: Connection) -> None:
        try:
            server = await connect(host)
        except BaseException:
            connection.abort()
            raise
        with server:
            await relay(connection, server)

    await _each(listener.accept, one, refused, relays)


async def _each(
    accept: Callable[[], Awaitable[T]],
    one: Callable[[T], Awaitable[None]],
    refused: Refused,
    every: Relays | None,
    most: int = MAX_RELAYS,
) -> None:
    room = asyncio.Semaphore(most)

    async def attend(accepted: T) -> None:
        try:
            await one(accepted)
        except FirkinError as error:
            refused(error)
        finally:
            room.release()

    relays: Relays = set()
    try:
        while True:
            await room.acquire()
            task = asyncio.create_task(attend(await accept()))
            for running in (relays, every):
                if running is not None:
                    running.add(task)
                    task.add_done_callback(running.discard)
    finally:
        for task in tuple(relays):
            task.cancel()
        await asyncio.gather(*relays, return_exceptions=True)


async def relay(connection: Connection, peer: socket.socket) -> None:
    """Copy between the two until both directions have ended, and close `connection`. Cancelling ends it.

    Raises MachineDied, and OutcomeUnknown where the container's owner was lost.
    """
    copying = [asyncio.create_task(_out(connection, peer)), asyncio.create_task(_in(connection, peer))]
    try:
        await asyncio.gather(*copying)
        await connection.close()
    finally:
        for task in copying:
            task.cancel()
        await asyncio.gather(*copying, return_exceptions=True)
        connection.abort()


async def _in(connection: Connection, peer: socket.socket) -> None:
    """From the peer to the container. A container that reads no more is as good as the end."""
    loop = asyncio.get_running_loop()

    async def copy() -> None:
        with suppress(ConnectionError):  # the peer was reset
            while data := await loop.sock_recv(peer, _CHUNK_BYTES):
                await connection.writer.write(data)
        connection.writer.close()

    with suppress(BrokenPipeError):
        await until_either(copy(), connection.writer.wait_broken())
    with suppress(OSError):
        peer.shutdown(socket.SHUT_RD)


async def _out(connection: Connection, peer: socket.socket) -> None:
    """From the container to the peer. A peer that reads no more breaks the stream."""
    loop = asyncio.get_running_loop()
    try:
        while data := await connection.reader.read(_CHUNK_BYTES):
            await loop.sock_sendall(peer, data)
        peer.shutdown(socket.SHUT_WR)
    except OSError:
        connection.reader.close()
