"""Stillness: a container's disk that nothing writes to while somebody reads it.

of a running one    its owner freezes the file system, and thaws it when the reader has done, has left, or
                    took too long: the container's writes wait
of an ended one     it cannot be started meanwhile
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from firkin.container.record import Record
from firkin.engine.deadline import within
from firkin.engine.settled import settled
from firkin.errors import InUse, ProtocolError, WrongState

if TYPE_CHECKING:
    from firkin.engine.container import Container

LONGEST_S = 30.0
"""How long a running container's writes may wait for a reader."""


@asynccontextmanager
async def of_ended(record: Record) -> AsyncIterator[None]:
    """The disk of a container without a machine stands still in the block. Raises WrongState, Timeout."""
    await settled(record)
    started = WrongState(
        f"container {record.spec().name!r} is being started", hint="try again once it runs or has ended"
    )
    try:
        lock = record.own()
    except InUse as error:
        raise started from error
    with lock:
        if record.is_alive():
            raise started
        yield


class Stillness:
    """That of one container, asked for by a client which may go away at any time."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._done = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """From here on the disk stands still. Raises as Container.still(), ProtocolError the second time."""
        if self._task is not None:
            raise ProtocolError("this connection has asked for stillness already")
        standing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._stand(standing))
        await asyncio.wait({self._task, standing}, return_when=asyncio.FIRST_COMPLETED)
        if not standing.done():
            await self._task  # raises what kept it

    async def end(self) -> None:
        """It goes on. Raises Timeout where it did so already."""
        if self._task is None:
            raise ProtocolError("this connection has not asked for stillness")
        self._done.set()
        await self._task

    def abandon(self) -> None:
        """It goes on soon, for nobody waits any more."""
        if self._task is not None and not self._task.cancel() and not self._task.cancelled():
            self._task.exception()  # nobody is left to be told

    async def _stand(self, standing: asyncio.Future[None]) -> None:
        name = self._container.name
        async with self._container.still():
            standing.set_result(None)
            hint = f"`firkin snapshot create --disk-only {name}`, and compare that: it may take its time"
            async with within(LONGEST_S, f"reading the disk of running container {name!r}", hint=hint):
                await self._done.wait()
