"""A disk that stands still for a client: until it has done, has left, or took too long."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from firkin.engine import stillness
from firkin.engine.stillness import Stillness
from firkin.errors import AgentError, ProtocolError, Timeout


class Box:
    """A container that knows whether it stands still."""

    name = "box"

    def __init__(self, refusal: Exception | None = None) -> None:
        self.stands, self.refusal = False, refusal
        self.went_on = asyncio.Event()

    @asynccontextmanager
    async def still(self):
        if self.refusal is not None:
            raise self.refusal
        self.stands = True
        try:
            yield
        finally:
            self.stands = False
            self.went_on.set()


async def test_it_stands_still_from_the_answer_to_the_end() -> None:
    box = Box()
    held = Stillness(box)
    await held.begin()
    assert box.stands
    with pytest.raises(ProtocolError, match="already"):
        await held.begin()
    await held.end()
    assert not box.stands


async def test_a_client_that_leaves_lets_it_go_on() -> None:
    box = Box()
    held = Stillness(box)
    held.abandon()
    await held.begin()
    held.abandon()
    await box.went_on.wait()


async def test_a_client_that_takes_too_long_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stillness, "LONGEST_S", 0.01)
    box = Box()
    held = Stillness(box)
    await held.begin()
    await box.went_on.wait()
    with pytest.raises(Timeout, match="container 'box' took longer") as caught:
        await held.end()
    assert "--disk-only box" in caught.value.hint
    held.abandon()


async def test_what_keeps_it_from_standing_still_is_told_at_once() -> None:
    held = Stillness(Box(AgentError("frozen already")))
    with pytest.raises(AgentError, match="frozen already"):
        await held.begin()
    with pytest.raises(ProtocolError, match="not asked"):
        await Stillness(Box()).end()
