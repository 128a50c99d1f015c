"""Chores: tasks that nobody waits for, which end with whoever they are done for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any


class Chores:
    """Tasks of one owner. An async context manager: leaving it cancels those that have not ended.

    A chore tells its own troubles: what it raises goes to the event loop's exception handler.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = False

    def start(self, chore: Coroutine[Any, Any, None]) -> None:
        """Begin `chore`; after the end nothing happens."""
        if self._over:
            chore.close()
            return
        task = asyncio.create_task(chore)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def __aenter__(self) -> Chores:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
