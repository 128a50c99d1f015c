"""AsyncPool: machines kept ready, from asyncio."""

from __future__ import annotations

from types import TracebackType

from firkin.api.async_container import AsyncContainer
from firkin.api.starting import Starting
from firkin.engine.engine import Engine
from firkin.engine.owner import OwnedContainer
from firkin.pool.pool import Pool
from firkin.pool.stats import PoolStats


class AsyncPool:
    """Machines kept ready to be leased. An async context manager: leaving it ends all of them.

    Made by AsyncEngine.pool(). Entering it begins to fill it and waits for nothing.
    """

    def __init__(self, pool: Pool[OwnedContainer], engine: Engine) -> None:
        self._pool = pool
        self._engine = engine

    def lease(self, *, timeout: float | None = None) -> Starting[AsyncContainer]:
        """Get one that nobody had before: `await` it, enter it, or take its `.output()`.

        It is the caller's, and ends with its block or the pool; nobody gets it again. Raises Timeout after
        `timeout` seconds, PoolEmpty and MemoryFull where none is ready and none is to be had, and what keeps
        one from starting.
        """

        async def lease() -> AsyncContainer:
            return AsyncContainer(await self._pool.lease(timeout), self._engine)

        return Starting(lease)

    async def filled(self, *, timeout: float | None = None) -> None:
        """Wait until as many are ready as are to be, whatever the load is.

        Raises Timeout, whose hint says what is short, and what keeps one from being made.
        """
        await self._pool.filled(timeout)

    @property
    def stats(self) -> PoolStats:
        """How many machines it has now, and how it served so far."""
        return self._pool.stats

    async def __aenter__(self) -> AsyncPool:
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.close()
