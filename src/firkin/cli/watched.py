"""A process whose first byte of output is told: that moment is what a person waits for."""

from __future__ import annotations

from collections.abc import Callable

from firkin.cli.timing import FIRST_BYTE
from firkin.events import event
from firkin.process.protocol import ByteReceiver, ByteSender, Process
from firkin.process.spec import ExitStatus


class WatchedProcess:
    """`process`, with an event at its first byte."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._told = False
        self.stdout: ByteReceiver = _Watched(process.stdout, self._tell)
        self.stderr: ByteReceiver = _Watched(process.stderr, self._tell)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdin(self) -> ByteSender | None:
        return self._process.stdin

    async def wait(self) -> ExitStatus:
        return await self._process.wait()

    async def signal(self, number: int) -> None:
        await self._process.signal(number)

    async def resize(self, rows: int, cols: int) -> None:
        await self._process.resize(rows, cols)

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            event(FIRST_BYTE)


class _Watched:
    def __init__(self, stream: ByteReceiver, tell: Callable[[], None]) -> None:
        self._stream = stream
        self._tell = tell

    @property
    def ended(self) -> bool:
        return self._stream.ended

    async def read(self, limit: int = 1 << 16, /) -> bytes:
        data = await self._stream.read(limit)
        if data:
            self._tell()
        return data

    def close(self) -> None:
        self._stream.close()
