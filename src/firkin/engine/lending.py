"""Lending: a snapshot that a client starts containers from, which goes when it has left."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from firkin.errors import ProtocolError

if TYPE_CHECKING:
    from firkin.engine.container import Container
    from firkin.snapshot.record import Snapshot


class Lending:
    """That of one container, for one client."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> Snapshot:
        """The snapshot. Raises as Container.lend(), ProtocolError the second time."""
        if self._task is not None:
            raise ProtocolError("this connection was lent a snapshot already")
        lent: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._lend(lent))
        waiting: set[asyncio.Future[Any]] = {self._task, lent}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not lent.done():
            await self._task  # raises what kept it
        return lent.result()

    def abandon(self) -> None:
        """The client has left."""
        if self._task is not None and not self._task.cancel() and not self._task.cancelled():
            self._task.exception()  # nobody is left to be told

    async def _lend(self, lent: asyncio.Future[Snapshot]) -> None:
        async with self._container.lend() as snapshot:
            lent.set_result(snapshot)
            await asyncio.Event().wait()
