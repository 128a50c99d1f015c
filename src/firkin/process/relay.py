"""Relays: the streams of a process that are tied to descriptors of this program, each copied to its end.

    relays = Relays({"stdout": fd, ...}, "'make' in container 'box'")
    rest = relays.begin(process)     the Process but for them: they read as ended
    await relays.settled()           once it has ended: all that it wrote is where it belongs
    await relays.end()               copy no more

The rule: every byte is copied, in order, and then our descriptor is closed, so that who reads behind it sees
the end. A relay waits for its own reader only: the other streams go on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from functools import partial

from firkin.errors import FirkinError, ProcessError
from firkin.process.descriptors import Sink, Source
from firkin.process.lent_terminal import LentTerminal
from firkin.process.protocol import ByteReceiver, ByteSender, Process
from firkin.process.spec import ExitStatus, TerminalSize

LINGER_S = 2.0
"""How long an output may be silent, after the process has ended, while what it left behind holds it open."""

_CALLED = {"stdout": "standard output", "stderr": "standard error"}


class Relays:
    """Of one process. It owns `fds`, by the names of the streams, and closes each at its stream's end."""

    def __init__(
        self,
        fds: Mapping[str, int],
        what: str,
        terminal: LentTerminal | None = None,
        size: TerminalSize | None = None,
    ) -> None:
        """The process has `terminal` meanwhile, where one is given; see LentTerminal.begin() for `size`."""
        self._fds = dict(fds)
        self._terminal = terminal
        self._size = size
        self._names = frozenset(fds)
        self._what = what
        self._copied_bytes = 0
        self._writing = 0
        self._outputs: set[asyncio.Task[None]] = set()
        self._inputs: set[asyncio.Task[None]] = set()
        self._failure: ProcessError | None = None

    def begin(self, process: Process) -> Process:
        """Copy from now on. The result is the process without what is copied."""
        rest = _Rest(process, self._names)
        for name in ("stdout", "stderr"):
            if name in self._fds:
                sink = Sink(self._fds.pop(name), owned=True)
                copying = asyncio.create_task(self._copy(getattr(process, name), sink, name))
                copying.add_done_callback(partial(_done_with, sink.close))  # it may end before it begins
                self._outputs.add(copying)
        if process.stdin is not None and "stdin" in self._fds:
            fd = self._fds.pop("stdin")
            feeding = asyncio.create_task(_feed(Source(fd), process.stdin))
            feeding.add_done_callback(partial(_done_with, partial(os.close, fd)))
            self._inputs.add(feeding)
        if self._terminal is not None:
            self._terminal.begin(process, self._size)
            for output in self._outputs:
                output.add_done_callback(self._give_back)
        return rest

    def _give_back(self, _: object = None) -> None:
        """What is typed from now on is not the process's."""
        if self._terminal is not None:
            for task in self._inputs:
                task.cancel()
            self._terminal.end()

    @property
    def has_input(self) -> bool:
        """Whether its standard input is one of them."""
        return "stdin" in self._names

    def without(self, process: Process) -> Process:
        """Another view of the process, with streams of its own: those that are copied are closed."""
        for name in self._names - {"stdin"}:
            getattr(process, name).close()
        return _Rest(process, self._names)

    @property
    def over(self) -> bool:
        """Whether there is nothing to copy any more."""
        return not self._fds and all(task.done() for task in self._outputs | self._inputs)

    async def settled(self) -> None:
        """Once it has ended: wait until all that it wrote was copied.

        What it left behind may hold its outputs open: that is copied on, and not waited for. Raises
        ProcessError where something could not be written.
        """
        await self._copied(patient=True)
        self._give_back()
        await _cancelled(self._inputs)
        if self._failure is not None:
            raise self._failure

    async def end(self) -> None:
        """Copy what there still is, as long as somebody takes it, and no more. Legal in every state."""
        await self._copied(patient=False)
        self._give_back()
        await _cancelled(self._outputs | self._inputs)
        while self._fds:
            os.close(self._fds.popitem()[1])

    async def _copied(self, *, patient: bool) -> None:
        """Wait for the ends of the outputs while bytes move, or, if `patient`, are being written."""
        while pending := {task for task in self._outputs if not task.done()}:
            before = self._copied_bytes
            await asyncio.wait(pending, timeout=LINGER_S)
            if self._copied_bytes == before and not (patient and self._writing):
                return

    async def _copy(self, stream: ByteReceiver, sink: Sink, name: str) -> None:
        try:
            while data := await stream.read():
                self._writing += 1
                await sink.write(data)
                self._writing -= 1
                self._copied_bytes += len(data)
        except BrokenPipeError:
            self._writing -= 1
        except OSError as error:
            self._writing -= 1
            self._failure = ProcessError(
                f"{self._what}: its {_CALLED[name]} cannot be written: {error.strerror}",
                hint="it was closed to the process; make room, or give another file",
            )
        except FirkinError:
            pass  # its machine has ended: whoever waits for the process is told
        finally:
            stream.close()


def _done_with(close: Callable[[], None], _: asyncio.Task[None]) -> None:
    close()


async def _cancelled(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _feed(source: Source, stdin: ByteSender) -> None:
    """Give it what is read from `source`, then the end; no more than it takes."""
    feeding = asyncio.create_task(_pass_on(source, stdin))
    try:
        await _first({feeding, asyncio.create_task(stdin.wait_broken())})
    finally:
        stdin.close()


async def _pass_on(source: Source, stdin: ByteSender) -> None:
    while data := await source.read():
        await stdin.write(data)


async def _first(tasks: set[asyncio.Task[None]]) -> None:
    """Wait for one of them; none goes on then, whatever it raised."""
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _cancelled(tasks)


class _Nothing:
    """An output that has ended."""

    ended = True

    async def read(self, limit: int = 0, /) -> bytes:
        return b""

    def close(self) -> None:
        """It is."""


class _Rest:
    """A Process without the streams `copied`."""

    def __init__(self, process: Process, copied: frozenset[str]) -> None:
        self._process = process
        self.stdin = None if "stdin" in copied else process.stdin
        self.stdout = _Nothing() if "stdout" in copied else process.stdout
        self.stderr = _Nothing() if "stderr" in copied else process.stderr

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> ExitStatus:
        return await self._process.wait()

    async def signal(self, number: int) -> None:
        await self._process.signal(number)

    async def resize(self, rows: int, cols: int) -> None:
        await self._process.resize(rows, cols)
