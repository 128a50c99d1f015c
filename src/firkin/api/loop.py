"""Loop: the event loop behind the blocking API, in a thread of its own: containers go on between calls.

The rule: a call ends when its coroutine has ended, also after Ctrl-C: that cancels the coroutine, waits for
it to clean up, and then raises KeyboardInterrupt where the caller stood.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class Loop:
    """One running event loop. `close` it; at the latest the interpreter's end does."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="firkin", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    @property
    def is_open(self) -> bool:
        return not self._loop.is_closed()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` there, with the caller's context, and return or raise what it does."""
        if self._loop.is_closed():
            coroutine.close()
            raise RuntimeError("this firkin engine is closed")
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        tasks: list[asyncio.Task[T]] = []

        def start() -> None:
            task = self._loop.create_task(coroutine)
            tasks.append(task)
            task.add_done_callback(lambda ended: _transfer(ended, outcome))

        def stop() -> None:
            if tasks:
                tasks[0].cancel()
            else:  # Ctrl-C came before it was handed over
                coroutine.close()
                outcome.set_exception(asyncio.CancelledError())

        try:
            self._loop.call_soon_threadsafe(start, context=contextvars.copy_context())
            return outcome.result()
        except BaseException:
            if not outcome.done():  # Ctrl-C hit the calling thread, not the coroutine
                self._loop.call_soon_threadsafe(stop)
                concurrent.futures.wait([outcome])
            raise

    def run(self, function: Callable[[], T]) -> T:
        """Call `function` there: what must not be touched by two threads at once is touched by that one."""

        async def called() -> T:
            return function()

        return self.call(called())

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """The items of `items`, one call at a time."""
        while True:
            try:
                yield self.call(_next(items))
            except StopAsyncIteration:
                return

    def close(self) -> None:
        """Stop the loop once everything in it was cancelled and has ended. May be called twice."""
        atexit.unregister(self.close)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)


def _transfer(task: asyncio.Task[T], outcome: concurrent.futures.Future[T]) -> None:
    if task.cancelled():
        outcome.set_exception(asyncio.CancelledError())
    elif error := task.exception():
        outcome.set_exception(error)
    else:
        outcome.set_result(task.result())
