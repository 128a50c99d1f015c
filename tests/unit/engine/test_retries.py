"""Retries: how often, for what, and what a try that failed leaves behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from firkin.engine import retries
from firkin.engine.retries import retried
from firkin.errors import BootFailed, FirkinError
from firkin.events import Event, subscribed


class Host:
    """Starts machines of which the first few fail; `open` are those that were started and not ended."""

    def __init__(self, *errors: FirkinError) -> None:
        self._errors = list(errors)
        self.open: list[int] = []
        self.most_open = 0

    async def attempt(self, stack: AsyncExitStack, number: int) -> int:
        await stack.enter_async_context(self._machine(number))
        if self._errors:
            raise self._errors.pop(0)
        return number

    @asynccontextmanager
    async def _machine(self, number: int) -> AsyncIterator[None]:
        self.open.append(number)
        self.most_open = max(self.most_open, len(self.open))
        try:
            yield
        finally:
            self.open.remove(number)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "PAUSES_S", (0, 0))


def killed() -> BootFailed:
    return BootFailed("it was killed", hint="try again", passing="somebody killed it")


async def test_what_passes_is_tried_again_and_told_each_time() -> None:
    host, seen = Host(killed(), killed()), list[Event]()
    with subscribed(seen.append):
        async with AsyncExitStack() as stack:
            assert await retried(stack, "web", host.attempt) == 3
            assert host.open == [3], "a try is gone before the next begins, and the last one's is kept"
    assert (host.open, host.most_open) == ([], 1)
    told = [(event.fields["attempt"], event.fields["reason"]) for event in seen]
    assert told == [(1, "somebody killed it"), (2, "somebody killed it")]


async def test_the_third_failure_is_the_callers() -> None:
    host = Host(*(killed() for _ in range(4)))
    async with AsyncExitStack() as stack:
        with pytest.raises(BootFailed, match="killed") as caught:
            await retried(stack, "web", host.attempt)
        assert host.open == []
    assert caught.value.hint == "it was tried 3 times; try again"


async def test_what_would_happen_again_is_told_at_once() -> None:
    host, seen = Host(BootFailed("panic", hint="see")), list[Event]()
    with subscribed(seen.append):
        async with AsyncExitStack() as stack:
            with pytest.raises(BootFailed, match="panic") as caught:
                await retried(stack, "web", host.attempt)
            assert host.open == []
    assert (seen, caught.value.hint) == ([], "see")
