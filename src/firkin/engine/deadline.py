"""Deadline: a block that may take so many seconds, and the error that names what took longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from firkin.errors import Timeout


@asynccontextmanager
async def within(seconds: float | None, what: str, *, hint: str = "") -> AsyncIterator[None]:
    """Cancel the block after `seconds` and raise Timeout, which names `what`. None waits for ever."""
    try:
        async with asyncio.timeout(seconds) as deadline:
            yield
    except TimeoutError as error:
        if isinstance(error, Timeout) or not deadline.expired():
            raise
        raise Timeout(f"{what} took longer than {seconds:g} s", hint=hint) from error
