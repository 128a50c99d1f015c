"""Turns: who waits for a machine of a pool, first come first served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """A queue of tasks, each of which gets one thing or an error."""

    def __init__(self) -> None:
        self._queue: deque[asyncio.Future[T]] = deque()

    def __len__(self) -> int:
        return sum(not each.done() for each in self._queue)

    async def wait(self, *, first: bool, unwanted: Callable[[T], None]) -> T:
        """What is given to the caller once it is its turn; `first` puts it before all others.

        Raises what fail() was called with. What was given to a caller that was cancelled meanwhile goes to
        `unwanted`.
        """
        turn: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        (self._queue.appendleft if first else self._queue.append)(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                unwanted(turn.result())
            raise

    def give(self, thing: T) -> bool:
        """Give it to whoever waits longest; False where nobody waits."""
        turn = self._next()
        if turn is not None:
            turn.set_result(thing)
        return turn is not None

    def fail(self, error: Exception) -> bool:
        """Let the wait of whoever waits longest end with `error`; False where nobody waits."""
        turn = self._next()
        if turn is not None:
            turn.set_exception(error)
        return turn is not None

    def _next(self) -> asyncio.Future[T] | None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():  # else its task was cancelled
                return turn
        return None
