"""AsyncProcess: a process in a container, with the words of asyncio's and subprocess' own."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, overload

from firkin.api.outcome import finished, output_limit
from firkin.api.streams import AsyncReader, AsyncWriter
from firkin.engine.deadline import within
from firkin.engine.signals import parse_signal
from firkin.engine.words import Size
from firkin.errors import FirkinError, UsageError
from firkin.process.output import Output, output
from firkin.process.protocol import Process as EngineProcess
from firkin.process.relay import Relays
from firkin.process.spec import ExitStatus


class AsyncProcess:
    """A started process. Leaving its `async with` block kills it where it still runs.

    `stdin` is None unless the process was started with stdin=PIPE, or True. With a terminal, or
    stderr=STDOUT, everything comes through `stdout`. An output that is no pipe has ended.
    """

    def __init__(self, process: EngineProcess, what: str, relays: Relays | None = None) -> None:
        self._process = process if relays is None else relays.begin(process)
        self._relays = relays
        self._what = what
        self._status: ExitStatus | None = None
        process = self._process
        self.stdin = None if process.stdin is None else AsyncWriter(process.stdin)
        self.stdout = AsyncReader(process.stdout, f"standard output of {what}")
        self.stderr = AsyncReader(process.stderr, f"standard error of {what}")

    @property
    def pid(self) -> int:
        """Its process id in the machine."""
        return self._process.pid

    async def wait(self, timeout: float | None = None) -> ExitStatus:
        """How it ended, once it did; pipes may still hold output, in files is all that it wrote.

        Raises Timeout after `timeout` seconds (the process goes on), MachineDied, ProcessError where a file
        could not be written.
        """
        async with within(timeout, f"wait for {self._what}"):
            self._status = await self._process.wait()
            if self._relays is not None:
                await self._relays.settled()
        return self._status

    async def kill(self, signal: str | int = "KILL") -> None:
        """Send it a signal, by name or number. Nothing happens when it has ended."""
        number = parse_signal(signal)
        if self._status is None:
            await self._process.signal(number)

    async def terminate(self) -> None:
        """Send it SIGTERM."""
        await self.kill(signal.SIGTERM)

    async def resize(self, rows: int, cols: int) -> None:
        """Change the size of its terminal."""
        await self._process.resize(rows, cols)

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
    @overload
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
        """Give it `input` and end of file, wait for its end, and return its status and all that it wrote.

        Output is bytes, or with `text` str (UTF-8; what is not, becomes U+FFFD). Past `limit` (64 MiB) bytes
        in a stream that is a ProcessError, or with `truncate` the rest is read and dropped. Raises Timeout
        after `timeout` seconds, with `check` CommandFailed for another exit status than 0, MachineDied. After
        all but CommandFailed the process was killed.
        """
        if input is not None and self.stdin is None:
            raise UsageError(f"{self._what} has no standard input for this", hint="start it with stdin=PIPE")
        limit_bytes = output_limit(limit)
        data = input.encode() if isinstance(input, str) else input or b""
        try:
            async with within(timeout, self._what):
                said = await output(self._process, data, limit_bytes=limit_bytes, truncate=truncate)
                if self._relays is not None:
                    await self._relays.settled()
        except BaseException:
            await asyncio.shield(self._end())
            raise
        self._status = said.status
        return finished(said, self._what, check=check, text=text)

    async def __aenter__(self) -> AsyncProcess:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        """Kill it, if it runs, and read no more of it."""
        if self._status is None:
            with suppress(FirkinError):  # it has ended, or its machine has
                await self._process.signal(signal.SIGKILL)
                self._status = await self._process.wait()
        self._process.stdout.close()
        self._process.stderr.close()
        if self._relays is not None:
            await self._relays.end()
