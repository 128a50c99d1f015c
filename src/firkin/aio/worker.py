"""Worker: one thread that stays, for work that must be done by a thread which outlives it.

A process that is started so that it dies with its parent dies with the thread that started it
(PR_SET_PDEATHSIG), so it can be started neither in a thread of a moment nor, where others are not to wait for
fork and exec, in the event loop's.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Worker:
    """Does one thing after the other in its thread, which begins with the first and ends with close()."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def do(self, work: Callable[[], T], undo: Callable[[T], None]) -> T:
        """What `work` returns or raises, run with this task's context (its subscribers of events).

        When this is cancelled, it waits for the work that has begun, and gives to `undo` what came of it.
        """
        doing = self._thread.submit(contextvars.copy_context().run, work)
        outcome = asyncio.wrap_future(doing)
        try:
            return await asyncio.shield(outcome)
        except asyncio.CancelledError:
            if not doing.cancel():
                await asyncio.wait((outcome,))
                if outcome.exception() is None:
                    undo(outcome.result())
            raise

    def close(self) -> None:
        """End the thread once it has nothing to do, and with it what dies with it. May be called twice."""
        self._thread.shutdown(wait=False)
