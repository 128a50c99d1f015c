"""A new owner and an agent whose first connection swallows everything, as QEMU's sometimes does."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack

import pytest

from firkin.engine import greeting
from firkin.errors import Timeout
from firkin.events import subscribed
from firkin.testing.fake_agent import fake_machine


class Machine:
    """One whose connections are given out in order; the last one again and again."""

    name = "box"

    def __init__(self, *socks: socket.socket) -> None:
        self._socks = list(socks)
        self.opened = 0

    def open_agent(self) -> socket.socket:
        self.opened += 1
        sock = self._socks.pop(0) if self._socks else socket.socketpair()[0]
        sock.setblocking(False)
        return sock


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(greeting, "FIRST_TRY_S", 0.05)


async def test_what_one_connection_lost_the_next_one_finds():
    swallowed, swallower = socket.socketpair()
    silent = []
    with swallower, subscribed(lambda happening: silent.append(happening.name)):
        async with fake_machine() as (_, answering), AsyncExitStack() as stack:
            machine = Machine(swallowed, answering)
            client = await greeting.reach(stack, machine, paused=False)
            assert client.session_key != b""
            assert machine.opened == 2
            assert "machine.silent" in silent
            assert swallowed.fileno() == -1, "the connection that lost it is closed"


async def test_an_agent_that_never_answers_is_waited_for_with_an_end(monkeypatch):
    monkeypatch.setattr(greeting, "PATIENCE_S", 0.5)
    ends = [socket.socketpair() for _ in range(8)]
    machine = Machine(*(ours for ours, _ in ends))
    async with AsyncExitStack() as stack:
        with pytest.raises(Timeout, match="the agent of machine 'box' took longer"):
            await greeting.reach(stack, machine, paused=False)
    assert 1 < machine.opened < 8
    for _, theirs in ends:
        theirs.close()
    for ours, _ in ends[machine.opened :]:
        ours.close()
