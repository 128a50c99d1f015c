"""Reading and writing this process's own descriptors without stalling the event loop, whatever they are.

The rule: O_NONBLOCK is never set on them, since the flag would be shared with the shell that gave them to us.
"""

from __future__ import annotations

import asyncio
import os
import queue
import select
import threading

_CHUNK_BYTES = 1 << 16


class Source:
    """Reads `fd`: pipes, terminals and sockets when they are ready, what epoll(7) refuses (files) at once."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def read(self) -> bytes:
        """The next bytes, or b"" at the end; a closed descriptor, or a terminal that hung up, has ended."""
        try:
            await self._ready()
            return os.read(self._fd, _CHUNK_BYTES)
        except OSError:
            return b""

    async def _ready(self) -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        try:
            loop.add_reader(self._fd, _resolve, ready)
        except PermissionError:
            await asyncio.sleep(0)
            return
        try:
            await ready
        finally:
            loop.remove_reader(self._fd)


class Sink:
    """Writes `fd` from a thread, since a terminal that was stopped (^S) or a full pipe may block for ever.

    The thread starts with the first write. It is a daemon: a caller that gives up is not held by it. An
    `owned` descriptor is closed by close(), once the thread is done with it: no earlier, since its number may
    be somebody else's then.
    """

    def __init__(self, fd: int, *, owned: bool = False) -> None:
        self._fd = fd
        self._owned = owned
        self._jobs: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def write(self, data: bytes) -> None:
        """Write all of `data`. Raises OSError, BrokenPipeError among them."""
        if self._thread is None:
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._work, args=(loop,), daemon=True)
            self._thread.start()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._jobs.put((data, done))
        await done

    def close(self) -> None:
        """Let the thread end once it has written everything. The descriptor stays open, unless owned."""
        self._jobs.put(None)
        if self._thread is None:
            self._end()

    def _end(self) -> None:
        if self._owned:
            os.close(self._fd)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._write_all(loop)
        finally:
            self._end()

    def _write_some(self, view: memoryview) -> int:
        try:
            return os.write(self._fd, view)
        except BlockingIOError:  # whoever else has it open had set O_NONBLOCK
            select.select((), (self._fd,), ())
            return 0

    def _write_all(self, loop: asyncio.AbstractEventLoop) -> None:
        while job := self._jobs.get():
            data, done = job
            try:
                view = memoryview(data)
                while view:
                    view = view[self._write_some(view) :]
                outcome: OSError | None = None
            except OSError as error:
                outcome = error
            try:
                loop.call_soon_threadsafe(_resolve, done, outcome)
            except RuntimeError:  # the loop was closed: nobody waits any more
                return


def _resolve(future: asyncio.Future[None], error: OSError | None = None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
