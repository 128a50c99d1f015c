"""Bridges between streams of the event loop and work that reads or writes bytes in a thread.

The rule: no more than a few pieces wait on a bridge, and neither side waits for one that has left.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import TypeVar

from firkin.aio.thread import Stopped, in_thread

T = TypeVar("T")

_MOST_WAITING = 16
_PIECE_BYTES = 1 << 18


async def read_in_thread(read: Callable[[], Awaitable[bytes]], work: Callable[[Iterator[bytes]], T]) -> T:
    """What `work`, in a thread, makes of what `read` gives up to b"". Raises what either does."""
    loop = asyncio.get_running_loop()
    room = asyncio.Semaphore(_MOST_WAITING)
    waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def pieces() -> Iterator[bytes]:
        while piece := waiting.get():
            loop.call_soon_threadsafe(room.release)
            yield piece
        if piece is None:
            raise Stopped

    async def feed() -> None:
        while piece := await read():
            await room.acquire()
            waiting.put(piece)
        waiting.put(b"")

    working = asyncio.create_task(in_thread(partial(work, pieces())))
    feeding = asyncio.create_task(feed())
    try:
        await asyncio.wait((working, feeding), return_when=asyncio.FIRST_COMPLETED)
        if feeding.done() and feeding.exception() is not None:
            feeding.result()
        return await working
    finally:
        waiting.put(None)
        for task in (feeding, working):
            task.cancel()
        await asyncio.gather(feeding, working, return_exceptions=True)


async def written_in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """What `pieces`, whose work is done in a thread, gives, in larger pieces. Raises what it does."""
    while piece := await asyncio.to_thread(_gathered, pieces):
        yield piece


def _gathered(pieces: Iterator[bytes]) -> bytes:
    held, size = [], 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _PIECE_BYTES:
            break
    return b"".join(held)
