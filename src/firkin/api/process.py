"""Process: AsyncProcess with blocking calls. Each method promises what its namesake there does."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Literal, overload

from firkin.api.async_process import AsyncProcess
from firkin.api.loop import Loop
from firkin.api.streams import AsyncReader, AsyncWriter
from firkin.engine.words import Size
from firkin.process.output import Output
from firkin.process.spec import ExitStatus


class Reader:
    """Standard output or error of a process. Iterating gives lines with their newline."""

    def __init__(self, reader: AsyncReader, loop: Loop) -> None:
        self._reader = reader
        self._loop = loop

    def read(self, size: int = -1, *, timeout: float | None = None) -> bytes:
        """What is there next, at most `size` bytes; b"" at the end. Without `size`, all up to the end."""
        return self._loop.call(self._reader.read(size, timeout=timeout))

    def readline(self, *, timeout: float | None = None) -> bytes:
        """The next line with its newline; b"" at the end."""
        return self._loop.call(self._reader.readline(timeout=timeout))

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def close(self) -> None:
        """Read no more: a process that writes on gets SIGPIPE."""
        self._loop.run(self._reader.close)


class Writer:
    """Standard input of a process."""

    def __init__(self, writer: AsyncWriter, loop: Loop) -> None:
        self._writer = writer
        self._loop = loop

    def write(self, data: bytes) -> None:
        """Send `data`, waiting while the process is far behind. Raises BrokenPipeError, MachineDied."""
        self._loop.call(self._writer.write(data))

    def drain(self) -> None:
        """Wait until the guest has taken everything that was written."""
        self._loop.call(self._writer.drain())

    def close(self) -> None:
        """End of input. Legal in every state."""
        self._loop.run(self._writer.close)


class Process:
    """A started process. Leaving its `with` block kills it where it still runs."""

    def __init__(self, process: AsyncProcess, loop: Loop) -> None:
        self._process = process
        self._loop = loop
        self.stdin = None if process.stdin is None else Writer(process.stdin, loop)
        self.stdout = Reader(process.stdout, loop)
        self.stderr = Reader(process.stderr, loop)

    @property
    def pid(self) -> int:
        """Its process id in the machine."""
        return self._process.pid

    def wait(self, timeout: float | None = None) -> ExitStatus:
        """How it ended, once it did. Raises Timeout after `timeout` seconds, MachineDied."""
        return self._loop.call(self._process.wait(timeout))

    def kill(self, signal: str | int = "KILL") -> None:
        """Send it a signal, by name or number. Nothing happens when it has ended."""
        self._loop.call(self._process.kill(signal))

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self._loop.call(self._process.terminate())

    def resize(self, rows: int, cols: int) -> None:
        """Change the size of its terminal."""
        self._loop.call(self._process.resize(rows, cols))

    @overload
    def output(
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
    def output(
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
    def output(
        self,
        input: bytes | str | None = ...,
        *,
        timeout: float | None = ...,
        check: bool = ...,
        text: bool = ...,
        limit: Size | None = ...,
        truncate: bool = ...,
    ) -> Output[Any]: ...
    def output(
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

        Bytes, or with `text` str. Raises Timeout after `timeout` seconds, with `check` CommandFailed for
        another exit status than 0, ProcessError past 64 MiB in a stream, MachineDied.
        """
        return self._loop.call(
            self._process.output(
                input, timeout=timeout, check=check, text=text, limit=limit, truncate=truncate
            )
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call(self._process.__aexit__(kind, error, trace))
