"""Resolver: the name server of a private network. What it does not know it asks the host's, or those that the
container chose, where the network leads outside.

The rule: no question is kept for longer than PATIENCE_S, nor more than MOST_WAITING of them.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable

from firkin.network.frames import Lease, answer, datagram
from firkin.network.name_answers import FAILED, PORT, REFUSED, Question, Table, own_answer, parse, reply
from firkin.network.resolv_conf import name_servers
from firkin.switch.forwarding import Port

PATIENCE_S = 4.0
MOST_WAITING = 256
_MAX_ANSWER_BYTES = 4096


class Resolver:
    """Answers the machines from `table`; a network that is `internal` has nobody else to ask."""

    def __init__(self, own: Lease, table: Callable[[], Table], *, internal: bool) -> None:
        self._own = own
        self._table = table
        self._internal = internal
        self._asking: set[asyncio.Task[None]] = set()

    def ask(self, port: Port, frame: bytes) -> None:
        """`frame` of `port` has a question."""
        asked = datagram(frame, self._own, PORT)
        question = None if asked is None else parse(asked.data)
        if asked is None or question is None:
            return

        def say(data: bytes) -> None:
            port.send(answer(asked, self._own, PORT, data))

        own = own_answer(asked.data, question, self._table(), others=port.others)
        if own is not None or self._internal:
            say(own or reply(asked.data, question, REFUSED))
        elif len(self._asking) < MOST_WAITING:
            task = asyncio.create_task(self._forward(asked.data, question, port.servers, say))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def close(self) -> None:
        """Ask nobody any more."""
        for task in tuple(self._asking):
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def _forward(
        self, query: bytes, question: Question, servers: tuple[str, ...], say: Callable[[bytes], None]
    ) -> None:
        for server in servers or name_servers():
            try:
                async with asyncio.timeout(PATIENCE_S):
                    say(await _asked(server, query))
                return
            except (OSError, TimeoutError):
                continue
        say(reply(query, question, FAILED))


async def _asked(server: str, query: bytes) -> bytes:
    """What `server` answers. Raises OSError."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Answer(query[:2], answered), remote_addr=(str(ipaddress.ip_address(server)), PORT)
    )
    try:
        transport.sendto(query)
        return await answered
    finally:
        transport.close()


class _Answer(asyncio.DatagramProtocol):
    def __init__(self, number: bytes, answered: asyncio.Future[bytes]) -> None:
        self._number = number
        self._answered = answered

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data[:2] == self._number and len(data) <= _MAX_ANSWER_BYTES and not self._answered.done():
            self._answered.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(exc)
