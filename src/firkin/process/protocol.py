"""What every process shows, in a machine of ours or behind another firkin's control socket."""

from __future__ import annotations

from typing import Protocol

from firkin.process.spec import ExitStatus


class ByteSender(Protocol):
    """A process's standard input."""

    @property
    def broken(self) -> bool:
        """Whether nobody will read more."""

    async def write(self, data: bytes | bytearray | memoryview, /) -> None:
        """Send `data`, waiting while the reader is a window behind. Raises BrokenPipeError, MachineDied."""

    async def drain(self) -> None:
        """Wait until everything was taken, or nothing more will be."""

    async def wait_broken(self) -> None:
        """Wait until nobody will read more."""

    def close(self) -> None:
        """End of input. Legal in every state."""


class ByteReceiver(Protocol):
    """A process's standard output or error."""

    @property
    def ended(self) -> bool:
        """Whether everything was read."""

    async def read(self, limit: int = ..., /) -> bytes:
        """The next 1 to `limit` bytes, or b"" at the end. Raises MachineDied."""

    def close(self) -> None:
        """Read no more. Legal in every state."""


class Process(Protocol):
    """A process that was started. With a terminal, `stderr` is a stream that has ended."""

    @property
    def pid(self) -> int:
        """Its process id in the machine."""

    @property
    def stdin(self) -> ByteSender | None:
        """Standard input; None where it is not connected."""

    @property
    def stdout(self) -> ByteReceiver: ...

    @property
    def stderr(self) -> ByteReceiver: ...

    async def wait(self) -> ExitStatus:
        """How it ended, once it did; its streams may still hold output. Raises MachineDied."""

    async def signal(self, number: int) -> None:
        """Send it signal `number`. Raises AgentError where it has ended."""

    async def resize(self, rows: int, cols: int) -> None:
        """Change the size of its terminal."""
