"""Starting: something that run() or exec() will give, to be awaited, entered, or run to its end.

    process = await container.exec(["id"])
    async with container.exec(["id"]) as process: ...
    out = await container.exec(["id"]).output()

Nothing happens before one of the three, and each may be done once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, TypeVar, overload

from firkin.engine.words import Size
from firkin.process.output import Output


class HasOutput(Protocol):
    async def output(
        self,
        input: bytes | str | None = ...,
        *,
        timeout: float | None = ...,
        check: bool = ...,
        text: bool = ...,
        limit: Size | None = ...,
        truncate: bool = ...,
    ) -> Output[Any]: ...
    async def __aenter__(self) -> Any: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


S = TypeVar("S", bound=HasOutput)


class Starting(Generic[S]):
    """What run() and exec() of the asynchronous API return."""

    def __init__(self, start: Callable[[], Awaitable[S]]) -> None:
        self._start = start
        self._started: S | None = None

    def __await__(self) -> Generator[Any, None, S]:
        return self._start().__await__()

    async def __aenter__(self) -> S:
        self._started = await self._start()
        await self._started.__aenter__()
        return self._started

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._started is not None
        await self._started.__aexit__(kind, error, trace)

    @overload
    async def output(
        self,
        input: bytes | str | None = ...,
        *,
        timeout: float | None = ...,
        check: bool = ...,
        text: Literal[False] = ...,
        limit: Size | None = ...,
        truncate: bool = ...,
    ) -> Output[bytes]: ...
    @overload
    async def output(
        self,
        input: bytes | str | None = ...,
        *,
        timeout: float | None = ...,
        check: bool = ...,
        text: Literal[True],
        limit: Size | None = ...,
        truncate: bool = ...,
    ) -> Output[str]: ...
    async def output(
        self,
        input: bytes | str | None = None,
        *,
        timeout: float | None = None,
        check: bool = False,
        text: bool = False,
        limit: Size | None = None,
        truncate: bool = False,
    ) -> Output[Any]:
        """Start it, run it to its end, and give what it said; see the thing's own output()."""
        async with self as started:
            return await started.output(
                input, timeout=timeout, check=check, text=text, limit=limit, truncate=truncate
            )
