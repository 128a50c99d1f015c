"""A process in a machine, as the agent's client shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from firkin.agent.streams import StreamReceiver, StreamSender
from firkin.errors import FirkinError
from firkin.process.spec import ExitStatus, Why
from firkin.wire.messages import Exit, Forget, Op, Resize, Signal, Spawn


class Requests(Protocol):
    """What a process needs of the client that made it."""

    async def request(self, op: Op) -> dict[str, object]: ...
    def release(self, process: RemoteProcess) -> None: ...
    def dismiss(self, process: RemoteProcess) -> None: ...


class RemoteProcess:
    """One process. `op` is the request that starts it, None for one that a resynchronisation found running.

    `exit` is the agent's word on its end, once it came; with a terminal `stderr` is a stream that has ended.
    """

    def __init__(
        self,
        client: Requests,
        proc: int,
        *,
        stdin: StreamSender | None,
        stdout: StreamReceiver,
        stderr: StreamReceiver,
        op: Spawn | None = None,
        container: str = "",
        pid: int = 0,
    ) -> None:
        self.proc = proc
        self.pid = pid
        self.container = container
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.op = op
        self.exit: Exit | None = None
        self._client = client
        self._lost: FirkinError | None = None
        self._ended = asyncio.Event()
        self._abandoned = False
        self._told: Callable[[], None] | None = None

    async def wait(self) -> ExitStatus:
        """How it ended, once it did. Its streams may still hold output. Raises MachineDied."""
        await self._ended.wait()
        if self.exit is None:
            assert self._lost is not None
            raise self._lost
        exit = self.exit
        why: Why = "oom" if exit.oom else ""
        return ExitStatus(code=exit.code, signal=exit.signal, core_dumped=exit.core, why=why)

    async def signal(self, number: int, *, all: bool = False, group: bool = False) -> None:
        """Send signal `number` to it; with `group` to its process group, with `all` to every process of its
        container.
        """
        await self._client.request(Signal(proc=self.proc, signal=number, all=all, group=group))

    async def resize(self, rows: int, cols: int) -> None:
        """Change the size of its terminal."""
        await self._client.request(Resize(proc=self.proc, rows=rows, cols=cols))

    async def forget(self) -> None:
        """Let the agent drop its record and whatever output was not read. Only for one that has exited."""
        await self._client.request(Forget(proc=self.proc))
        self._client.release(self)

    def dismiss(self) -> None:
        """forget(), soon, and not waited for."""
        self._client.dismiss(self)

    def when_ended(self, told: Callable[[], None]) -> None:
        """Call `told` once the agent has reaped it: at once where it has."""
        self._told = told
        if self.exit is not None:
            told()

    def resume(self, *, stdout_offset: int, stderr_offset: int) -> None:
        """After a resynchronisation: receive its output again, from these offsets on."""
        self.stdout.resume(stdout_offset)
        self.stderr.resume(stderr_offset)

    def abandon(self) -> None:
        """Nobody will ask for it: its pipes are closed, and the agent forgets it once it has exited."""
        self._abandoned = True
        if self.stdin is not None:
            self.stdin.close()
        self.stdout.close()
        self.stderr.close()
        if self.exit is not None:
            self._client.dismiss(self)

    def end(self, exit: Exit) -> None:
        """The agent reaped it."""
        self.exit = exit
        self._ended.set()
        if self._told is not None:
            self._told()
        if self._abandoned:
            self._client.dismiss(self)

    def lose(self, error: FirkinError) -> None:
        """The agent is gone."""
        self._lost = error
        self._ended.set()
