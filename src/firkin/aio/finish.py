"""Work that is not left half done: a caller that is cancelled waits for its end all the same.

The rule: such work has a deadline of its own, since nobody can cut it short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns or raises, even when this is cancelled meanwhile, however often.

    Raises CancelledError then, once `work` has ended well; its own error otherwise.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    result = task.result()
    if cancelled is not None:
        raise cancelled
    return result
