"""Datagrams: what arrives at a UDP port of the host, relayed to one of a container, and the answers back.

    host socket ──recvfrom──► caller, by its address ──dial──► container

The rule: a caller is whoever sent something within IDLE_S, and has a port of the container's machine for
itself, so that an answer finds it. No datagram is waited for: what there is no room for is lost, as with UDP.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from firkin.engine.connection import Connection
from firkin.errors import FirkinError

IDLE_S = 90.0
"""As Docker's proxy has it; longer than the kernel remembers a datagram without an answer."""
_MOST_WAITING = 64
"""Datagrams of one caller."""
_MAX_BYTES = 65535
_LENGTH_BYTES = 2

Dial = Callable[[], Awaitable[Connection]]


async def relay_datagrams(
    sock: socket.socket,
    dial: Dial,
    refused: Callable[[FirkinError], object],
    *,
    most: int,
    idle_s: float = IDLE_S,
) -> None:
    """Relay what arrives at `sock` to what `dial` gives for each caller, at most `most` at a time; for ever.

    `refused` hears why a caller was not served.
    """
    loop = asyncio.get_running_loop()
    callers: dict[Any, _Caller] = {}
    tasks: set[asyncio.Task[None]] = set()

    async def serve(caller: _Caller) -> None:
        try:
            await caller.serve(await dial())
        except FirkinError as error:
            refused(error)
        finally:
            del callers[caller.address]

    try:
        while True:
            data, address = await loop.sock_recvfrom(sock, _MAX_BYTES)
            caller = callers.get(address)
            if caller is None and len(callers) < most:
                caller = callers[address] = _Caller(sock, address, idle_s)
                task = asyncio.create_task(serve(caller))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            if caller is not None:
                caller.take(data)
    finally:
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Caller:
    """Who sends to a port from `address`."""

    def __init__(self, sock: socket.socket, address: Any, idle_s: float) -> None:
        self.address = address
        self._sock = sock
        self._idle_s = idle_s
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(_MOST_WAITING)
        self._heard_s = time.monotonic()

    def take(self, data: bytes) -> None:
        """It has sent `data`."""
        self._heard_s = time.monotonic()
        with suppress(asyncio.QueueFull):
            self._waiting.put_nowait(data)

    async def serve(self, connection: Connection) -> None:
        """Relay over `connection`, which it ends, until the caller falls silent or the other end is gone.

        Raises MachineDied.
        """
        tasks = [
            asyncio.create_task(each)
            for each in (self._in(connection), self._out(connection), self._silence())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            connection.abort()

    async def _in(self, connection: Connection) -> None:
        with suppress(BrokenPipeError):
            while True:
                data = await self._waiting.get()
                await connection.writer.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)

    async def _out(self, connection: Connection) -> None:
        held = bytearray()
        while data := await connection.reader.read(_MAX_BYTES):
            held += data
            while len(held) >= _LENGTH_BYTES:
                end = _LENGTH_BYTES + int.from_bytes(held[:_LENGTH_BYTES], "big")
                if len(held) < end:
                    break
                with suppress(OSError):  # no room for it, or nobody there
                    self._sock.sendto(held[_LENGTH_BYTES:end], self.address)
                del held[:end]

    async def _silence(self) -> None:
        """Wait until nothing was heard of it for so long."""
        while True:
            left_s = self._heard_s + self._idle_s - time.monotonic()
            if left_s <= 0:
                return
            await asyncio.sleep(left_s)
