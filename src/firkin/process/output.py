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


@dataclass(frozen=True, slots=True)
class Output(Generic[AnyStr]):
    """How a process ended and what it wrote: bytes, or str where the caller asked for text."""

    status: ExitStatus
    stdout: AnyStr
    stderr: AnyStr

    @property
    def ok(self) -> bool:
        """Whether it exited with 0."""
        return self.status.ok


async def output(process: Process, input: bytes = b"", *, limit_bytes: int = LIMIT_BYTES) -> Output[bytes]:
    """Give `process` all of `input` and end of file, and wait for its end and that of its streams.

    Input that it does not read is dropped, as by subprocess. Raises ProcessError once either stream passes
    `limit_bytes`: both are closed then, and the process is still the caller's to stop.
    """
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_feed(process.stdin, input))
            stdout = group.create_task(_collect(process.stdout, limit_bytes, "standard output"))
            stderr = group.create_task(_collect(process.stderr, limit_bytes, "standard error"))
            status = group.create_task(process.wait())
    except BaseExceptionGroup as group_of_errors:
        process.stdout.close()
        process.stderr.close()
        raise group_of_errors.exceptions[0] from None
    return Output(status.result(), stdout.result(), stderr.result())


async def _feed(stdin: ByteSender | None, data: bytes) -> None:
    if stdin is None:
        return
    try:
        await stdin.write(data)
    except BrokenPipeError:
        pass
    stdin.close()


async def _collect(stream: ByteReceiver, limit_bytes: int, name: str) -> bytes:
    collected = bytearray()
    while data := await stream.read():
        collected += data
        if len(collected) > limit_bytes:
            raise ProcessError(
                f"the process wrote more than {format_size(limit_bytes)} to its {name}",
                hint="read the stream piece by piece, or raise the limit",
            )
    return bytes(collected)
