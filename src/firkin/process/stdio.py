"""The caller's standard streams onto a process's: what `firkin run`, `exec` and `attach` do once it runs."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable

from firkin.process.descriptors import Sink, Source
from firkin.process.protocol import ByteReceiver, ByteSender, Process

_LINGER_S = 2.0
"""How long a stream may be silent after the process has ended, while what it left behind holds it open."""

TypedFilter = Callable[[bytes], tuple[bytes, bool]]
"""What to pass on of the typed bytes, and whether they ask to detach."""


class Outcome(enum.Enum):
    """Why connect() returned."""

    ENDED = "the process has ended, and all of its output was written"
    DETACHED = "the detach keys were typed"
    BROKEN = "nobody reads our output any more"


async def connect(
    process: Process,
    *,
    stdin_fd: int | None = 0,
    stdout_fd: int = 1,
    stderr_fd: int = 2,
    typed: TypedFilter | None = None,
) -> Outcome:
    """Copy until the process has ended and its output was written, or the caller leaves.

    The end of our input ends the process's; a process that closed its input is fed no more. A reader of ours
    that went away (`| head`) is told as BROKEN, for the caller to end what it owns, as SIGPIPE would end a
    process. Raises MachineDied, or OSError where our output cannot be written.
    """
    return await _Pump(process).run(stdin_fd, Sink(stdout_fd), Sink(stderr_fd), typed)


class _Pump:
    def __init__(self, process: Process) -> None:
        self._process = process
        self._copied_bytes = 0
        self._writing = 0

    async def run(
        self, stdin_fd: int | None, stdout: Sink, stderr: Sink, typed: TypedFilter | None
    ) -> Outcome:
        process = self._process
        output = asyncio.create_task(self._output(stdout, stderr))
        waiting: set[asyncio.Task[Outcome | None]] = {output}
        if stdin_fd is not None and process.stdin is not None:
            waiting.add(asyncio.create_task(self._feed(Source(stdin_fd), process.stdin, typed)))
        try:
            return await self._first(waiting, output)
        except BrokenPipeError:
            return Outcome.BROKEN
        finally:
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            stdout.close()
            stderr.close()

    async def _first(
        self, waiting: set[asyncio.Task[Outcome | None]], output: asyncio.Task[Outcome | None]
    ) -> Outcome:
        """The first outcome of either; that the input ended is none."""
        while True:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for each in sorted(done, key=lambda task: task is output):
                if outcome := each.result():
                    return outcome

    async def _output(self, stdout: Sink, stderr: Sink) -> Outcome:
        copying = asyncio.gather(
            self._copy(self._process.stdout, stdout), self._copy(self._process.stderr, stderr)
        )
        lingering = asyncio.create_task(self._linger(copying))
        try:
            await copying
            await lingering
        finally:
            copying.cancel()
            lingering.cancel()
            await asyncio.gather(copying, lingering, return_exceptions=True)
        return Outcome.ENDED

    async def _feed(self, source: Source, stdin: ByteSender, typed: TypedFilter | None) -> Outcome | None:
        while data := await source.read():
            detach = False
            if typed is not None:
                data, detach = typed(data)
            try:
                if data:
                    await stdin.write(data)
            except BrokenPipeError:
                return None
            if detach:
                return Outcome.DETACHED
        stdin.close()
        return None

    async def _copy(self, stream: ByteReceiver, sink: Sink) -> None:
        while data := await stream.read():
            self._writing += 1
            await sink.write(data)
            self._writing -= 1
            self._copied_bytes += len(data)

    async def _linger(self, copying: asyncio.Future[tuple[None, None]]) -> None:
        """Close the streams that stay open, silent, after the process has ended."""
        await self._process.wait()
        while not copying.done():
            before = self._copied_bytes
            await asyncio.wait({copying}, timeout=_LINGER_S)
            if self._copied_bytes == before and not self._writing:
                self._process.stdout.close()
                self._process.stderr.close()
