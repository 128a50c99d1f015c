"""AttachedProcess: a container's first process, as one of the parties that are attached to it sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from firkin.engine.outlet import Tap
from firkin.process.protocol import ByteSender
from firkin.process.spec import ExitStatus


class First(Protocol):
    """What is needed of the process itself."""

    @property
    def pid(self) -> int: ...
    async def signal(self, number: int) -> None: ...
    async def resize(self, rows: int, cols: int) -> None: ...


class AttachedProcess:
    """A Process. Its streams are this party's own: closing them leaves the process and the others alone.

    `stdin` is the process's; whoever closes it closes it for all.
    """

    def __init__(
        self,
        first: First,
        *,
        stdin: ByteSender | None,
        stdout: Tap,
        stderr: Tap,
        ended: Callable[[], Awaitable[ExitStatus]],
    ) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._first = first
        self._ended = ended

    @property
    def pid(self) -> int:
        """Its process id in the machine."""
        return self._first.pid

    async def wait(self) -> ExitStatus:
        """How it ended, once it did. Raises MachineDied."""
        return await self._ended()

    async def signal(self, number: int) -> None:
        """Send it signal `number`. Raises AgentError where it has ended."""
        await self._first.signal(number)

    async def resize(self, rows: int, cols: int) -> None:
        """Change the size of its terminal."""
        await self._first.resize(rows, cols)
