"""Pipe: a bounded queue between two threads, whose reader may leave without keeping the writer waiting."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Abandoned(Exception):
    """The reader went away: the writer stops. It never leaves the writer's thread."""


class Pipe(Generic[_T]):
    """One writer, one reader, at most `depth` items between them."""

    def __init__(self, depth: int) -> None:
        self._items: SimpleQueue[_T | None] = SimpleQueue()
        self._room = threading.Semaphore(depth)
        self._abandoned = False

    def put(self, item: _T) -> None:
        """Waits for room. Raises Abandoned when nobody will read."""
        self._room.acquire()
        if self._abandoned:
            self._room.release()
            raise Abandoned
        self._items.put(item)

    def close(self) -> None:
        """The writer's last word."""
        self._items.put(None)

    def get(self) -> _T | None:
        """The next item; None when the writer closed the pipe."""
        item = self._items.get()
        self._room.release()
        return item

    def abandon(self) -> None:
        """The reader's last word; may be said by another thread, and twice."""
        self._abandoned = True
        self._room.release()
