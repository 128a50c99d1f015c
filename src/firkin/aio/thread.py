"""Heavy or blocking work in a thread: the event loop goes on, and a cancelled caller ends the work.

The rule: work that tells events can be stopped at each of them. Work that is stuck between two is left
behind in its thread after a moment; it dies with the process, and what it holds (locks, files) goes then.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

from firkin.events import Event, subscribed

T = TypeVar("T")

STOP_PATIENCE_S = 5.0


class Stopped(Exception):
    """Raised in the work, at an event, when nobody waits for it any more."""


async def in_thread(work: Callable[[], T]) -> T:
    """What `work` returns or raises, run in a thread with this task's context (its subscribers of events).

    When this is cancelled, `work` gets Stopped at its next event, and is waited for a moment to clean up.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()
    stopping = threading.Event()
    context = contextvars.copy_context()
    arguments = (work, loop, outcome, stopping)
    threading.Thread(target=context.run, args=(_run, *arguments), name="firkin work", daemon=True).start()
    try:
        return await asyncio.shield(outcome)
    except asyncio.CancelledError:
        stopping.set()
        outcome.add_done_callback(asyncio.Future.exception)  # its end is nobody's news any more
        await asyncio.wait((outcome,), timeout=STOP_PATIENCE_S)
        raise


def _run(
    work: Callable[[], T],
    loop: asyncio.AbstractEventLoop,
    outcome: asyncio.Future[T],
    stopping: threading.Event,
) -> None:
    def stop(_: Event) -> None:
        if stopping.is_set():
            raise Stopped

    try:
        with subscribed(stop):
            result = work()
    except BaseException as error:  # the awaiting task sees it
        _tell(loop, lambda error=error: outcome.set_exception(error))  # type: ignore[misc]
    else:
        _tell(loop, lambda: outcome.set_result(result))


def _tell(loop: asyncio.AbstractEventLoop, tell: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:
        pass  # the loop is closed: nobody is there to be told
