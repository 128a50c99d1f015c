"""Run a process to its end and keep what it said: input, output and error flow at once, without deadlock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import AnyStr, Generic

from firkin.errors import ProcessError
from firkin.process.protocol import ByteReceiver, ByteSender, Process
from firkin.process.spec import ExitStatus
from firkin.units import format_size

LIMIT_BYTES = 64 << 20
_LARGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Output(Generic[AnyStr]):
    """How a process ended and what it wrote: bytes, or str where the caller asked for text."""

    status: ExitStatus
    stdout: AnyStr
    stderr: AnyStr
    truncated: bool = False
    """Whether it wrote more than was to be kept."""

    @property
    def ok(self) -> bool:
        """Whether it exited with 0."""
        return self.status.ok


async def output(
    process: Process, input: bytes = b"", *, limit_bytes: int = LIMIT_BYTES, truncate: bool = False
) -> Output[bytes]:
    """Give `process` all of `input` and end of file, and wait for its end and that of its streams.

    Input that it does not read is dropped, as by subprocess. Past `limit_bytes` of either stream with
    `truncate` the rest is read and dropped; else that is a ProcessError: both are closed then, and the
    process is still the caller's to stop.
    """
    out = _Collected("standard output", limit_bytes, truncate=truncate)
    err = _Collected("standard error", limit_bytes, truncate=truncate)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_feed(process.stdin, input))
            group.create_task(out.collect(process.stdout))
            group.create_task(err.collect(process.stderr))
            status = group.create_task(process.wait())
    except BaseExceptionGroup as group_of_errors:
        process.stdout.close()
        process.stderr.close()
        raise group_of_errors.exceptions[0] from None
    return Output(status.result(), out.kept(), err.kept(), out.truncated or err.truncated)


async def _feed(stdin: ByteSender | None, data: bytes) -> None:
    if stdin is None:
        return
    try:
        await stdin.write(data)
    except BrokenPipeError:
        pass
    stdin.close()


class _Collected:
    """What one stream gave."""

    def __init__(self, name: str, limit_bytes: int, *, truncate: bool) -> None:
        self.truncated = False
        self._pieces: list[bytes | bytearray] = []
        self._kept_bytes = 0
        self._name = name
        self._limit_bytes = limit_bytes
        self._truncate = truncate

    async def collect(self, stream: ByteReceiver) -> None:
        """Read it to its end. Raises ProcessError past the limit."""
        while data := await stream.read():
            room = self._limit_bytes - self._kept_bytes
            self._keep(data[:room])
            if len(data) > room:
                self._pass_limit()

    def kept(self) -> bytes:
        """All of it, or as much as the limit allows."""
        return b"".join(self._pieces)

    def _keep(self, data: bytes) -> None:
        """Large pieces stay as they came, and are copied once, at the end; small ones go into one buffer, so
        that a process that writes single bytes takes no more of our memory than it wrote.
        """
        self._kept_bytes += len(data)
        if len(data) >= _LARGE_BYTES:
            self._pieces.append(data)
        elif self._pieces and isinstance(self._pieces[-1], bytearray):
            self._pieces[-1] += data
        else:
            self._pieces.append(bytearray(data))

    def _pass_limit(self) -> None:
        self.truncated = True
        if not self._truncate:
            raise ProcessError(
                f"the process wrote more than {format_size(self._limit_bytes)} ({self._limit_bytes} bytes)"
                f" to its {self._name}",
                hint="raise the limit, let it be truncated, or read the stream piece by piece",
            )
