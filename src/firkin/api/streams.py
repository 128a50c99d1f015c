"""A process's streams with the words of Python's own: read to the end, by lines, write, close. Bytes only."""

from __future__ import annotations

from collections.abc import AsyncIterator

from firkin.engine.deadline import within
from firkin.errors import ProcessError
from firkin.process.output import LIMIT_BYTES
from firkin.process.protocol import ByteReceiver, ByteSender
from firkin.units import format_size


class AsyncReader:
    """Standard output or error of a process. One reader at a time. Iterating gives lines with their newline.

    What is not read stays with the process, which waits once about 512 KiB are on their way.
    """

    def __init__(self, source: ByteReceiver, called: str) -> None:
        self._source = source
        self._called = called
        self._buffer = bytearray()

    async def read(self, size: int = -1, *, timeout: float | None = None) -> bytes:
        """What is there next, at most `size` bytes; b"" at the end. Without `size`, everything up to the end.

        Raises Timeout after `timeout` seconds (what came meanwhile is for the next call), MachineDied where
        the machine ended under the process, ProcessError past 64 MiB in one call.
        """
        async with within(timeout, f"reading {self._called}"):
            if size < 0:
                return await self._read_all()
            if not self._buffer:
                self._buffer += await self._source.read()
        return self._take(size)

    async def readline(self, *, timeout: float | None = None) -> bytes:
        """The next line with its newline; the last one may have none; b"" at the end. Raises as read()."""
        searched = 0
        async with within(timeout, f"reading a line of {self._called}"):
            while (newline := self._buffer.find(b"\n", searched)) < 0:
                searched = len(self._buffer)
                if not await self._fill():
                    return self._take(searched)
        return self._take(newline + 1)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while line := await self.readline():
            yield line

    def close(self) -> None:
        """Read no more: a process that writes on gets SIGPIPE."""
        self._source.close()

    async def _read_all(self) -> bytes:
        while await self._fill():
            pass
        return self._take(len(self._buffer))

    async def _fill(self) -> bool:
        if len(self._buffer) > LIMIT_BYTES:
            raise ProcessError(
                f"the process wrote more than {format_size(LIMIT_BYTES)} without a newline or an end",
                hint="read piece by piece, with read(65536)",
            )
        data = await self._source.read()
        self._buffer += data
        return bool(data)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


class AsyncWriter:
    """Standard input of a process."""

    def __init__(self, target: ByteSender) -> None:
        self._target = target

    async def write(self, data: bytes) -> None:
        """Send `data`, waiting while the process is far behind. Raises BrokenPipeError, MachineDied."""
        await self._target.write(data)

    async def drain(self) -> None:
        """Wait until the guest has taken everything that was written."""
        await self._target.drain()

    def close(self) -> None:
        """End of input. Legal in every state."""
        self._target.close()
