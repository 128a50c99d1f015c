"""Outlet: one output stream of a container's first process, on its way to the log and to whoever is attached.

    guest ──► Outlet.pump ──► log          written down before the guest is told that it was taken
                    └───────► Tap, Tap     one for each attached party

The rule: a party that stands still makes the process wait; it never makes our memory grow, and what a party
gets is what the log has, in one order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from firkin.events import event
from firkin.wire.frames import MAX_DATA_BYTES, WINDOW_BYTES


class Source(Protocol):
    """What an outlet needs of the agent's client: a stream that keeps what was not acknowledged."""

    @property
    def offset(self) -> int: ...
    async def read(self, limit: int = ..., *, acknowledge: bool = ...) -> bytes: ...
    def acknowledge(self, offset: int) -> None: ...


class Tap:
    """One party's view of an outlet: `history`, then what the outlet feeds it. One reader at a time."""

    def __init__(self, history: Iterator[bytes], *, on_close: Callable[[Tap], None]) -> None:
        self._history = history
        self._front = b""  # what is left of the piece that is being read
        self._chunks: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._over = False
        self._error: BaseException | None = None
        self._on_close = on_close
        self._changed = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether everything was read, or will be read no more."""
        return self._over and self._error is None and not self._chunks and not self._front

    async def read(self, limit: int = MAX_DATA_BYTES) -> bytes:
        """The next 1 to `limit` bytes, or b"" at the end. Raises what ended the outlet (MachineDied)."""
        while not self._next_piece():
            if self._error is not None:
                raise self._error
            if self._over:
                return b""
            await self._change()
        taken, self._front = self._front[:limit], self._front[limit:]
        return taken

    def close(self) -> None:
        """Read no more: the outlet stops waiting for this party. Legal in every state."""
        self._history, self._front = iter(()), b""
        self._chunks.clear()
        self._waiting_bytes = 0
        self.finish(None)
        self._on_close(self)

    def feed(self, data: bytes) -> None:
        """The outlet has `data`. It waits for room() before it feeds more."""
        self._chunks.append(data)
        self._waiting_bytes += len(data)
        self._changed.set()

    def finish(self, error: BaseException | None) -> None:
        """Nothing follows; `error` says why where that is no ordinary end."""
        self._over, self._error = True, error
        self._changed.set()

    async def room(self) -> None:
        """Wait until less than a window is waiting to be read."""
        while self._waiting_bytes >= WINDOW_BYTES and not self._over:
            await self._change()

    def _next_piece(self) -> bool:
        """Whether there is something to read now: the rest of a piece, history, or what was fed."""
        if not self._front:
            self._front = next(self._history, b"")
        if not self._front and self._chunks:
            self._front = self._chunks.popleft()
            self._waiting_bytes -= len(self._front)
            self._changed.set()
        return bool(self._front)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class Outlet:
    """Pumps one stream. `write` puts bytes into the log; `history` reads back what it has of this stream."""

    def __init__(
        self, *, write: Callable[[bytes], None], history: Callable[[], Iterator[bytes]], first: FirstByte
    ) -> None:
        self._write = write
        self._history = history
        self._first = first
        self._taps: list[Tap] = []
        self._over = False
        self._error: BaseException | None = None

    def tap(self, *, replay: bool) -> Tap:
        """What comes from now on, with `replay` all that came before it too."""
        tap = Tap(self._history() if replay else iter(()), on_close=self._forget)
        if self._over:
            tap.finish(self._error)
        else:
            self._taps.append(tap)
        return tap

    async def pump(self, source: Source) -> None:
        """Move `source` to its end. Raises what it raises, and what `write` does.

        Then, and where this is cancelled, the parties wait on until end() tells them why.
        """
        while data := await source.read(acknowledge=False):
            self._first.seen()
            for tap in self._taps:
                tap.feed(data)
            self._write(data)
            source.acknowledge(source.offset)
            for tap in tuple(self._taps):
                await tap.room()
        self.end(None)

    def end(self, error: BaseException | None) -> None:
        """Nothing more is to come; `error` says why where that is no ordinary end. The first call counts."""
        if not self._over:
            self._over, self._error = True, error
            for tap in self._taps:
                tap.finish(error)

    def _forget(self, tap: Tap) -> None:
        if tap in self._taps:
            self._taps.remove(tap)


class FirstByte:
    """Says once, in an event, that a container has begun to speak."""

    def __init__(self, container_id: str) -> None:
        self._container_id = container_id
        self._said = False

    def seen(self) -> None:
        if not self._said:
            self._said = True
            event("output.first_byte", container=self._container_id)
