"""Pool: AsyncPool with blocking calls. Each method promises what its namesake there does."""

from __future__ import annotations

from types import TracebackType

from firkin.api.async_container import AsyncContainer
from firkin.api.async_pool import AsyncPool
from firkin.api.container import Container
from firkin.api.loop import Loop
from firkin.pool.stats import PoolStats


class Pool:
    """Machines kept ready to be leased, by one thread or several. Leaving its `with` block ends all of them.

    Made by Engine.pool(). Entering it begins to fill it and waits for nothing.
    """

    def __init__(self, pool: AsyncPool, loop: Loop) -> None:
        self._pool = pool
        self._loop = loop

    def lease(self, *, timeout: float | None = None) -> Container:
        """Get one that nobody had before. It ends with its block or the pool; nobody gets it again."""

        async def lease() -> AsyncContainer:
            return await self._pool.lease(timeout=timeout)

        return Container(self._loop.call(lease()), self._loop)

    def filled(self, *, timeout: float | None = None) -> None:
        """Wait until as many are ready as are to be."""
        self._loop.call(self._pool.filled(timeout=timeout))

    @property
    def stats(self) -> PoolStats:
        """How many machines it has now, and how it served so far."""
        return self._loop.run(lambda: self._pool.stats)

    def close(self) -> None:
        """End all of its machines. May be called twice."""
        self.__exit__(None, None, None)

    def __enter__(self) -> Pool:
        self._loop.call(self._pool.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call(self._pool.__aexit__(kind, error, trace))
