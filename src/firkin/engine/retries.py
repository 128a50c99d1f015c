"""Retries: a start that fails for what may be gone soon is tried again, a few times.

The rule: a try leaves nothing when the next begins, each is told, and the last one's error is the caller's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

from firkin.errors import FirkinError
from firkin.events import event
from firkin.machine.failures import passing

PAUSES_S = (0.2, 1.0)
"""Between one try and the next."""

T = TypeVar("T")


async def retried(
    stack: AsyncExitStack, machine: str, attempt: Callable[[AsyncExitStack, int], Awaitable[T]]
) -> T:
    """What `attempt` returns; what it entered into the stack that it is given is left with `stack`.

    It is told which try it is, from 1. Raises what the last try raises.
    """
    last = len(PAUSES_S) + 1
    for number in range(1, last):
        try:
            return await _tried(stack, attempt, number)
        except FirkinError as error:
            if not (reason := passing(error)):
                raise
            event("machine.retry", machine=machine, attempt=number, reason=reason, error=error)
        await asyncio.sleep(PAUSES_S[number - 1])
    try:
        return await _tried(stack, attempt, last)
    except FirkinError as error:
        error.hint = f"it was tried {last} times; {error.hint}"
        raise


async def _tried(
    stack: AsyncExitStack, attempt: Callable[[AsyncExitStack, int], Awaitable[T]], number: int
) -> T:
    async with AsyncExitStack() as trial:
        result = await attempt(trial, number)
        stack.push_async_exit(trial.pop_all())
    return result
