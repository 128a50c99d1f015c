"""SpawnedProcess: what exec gives; the agent forgets it once it ended and its output was read or refused.

An agent keeps the record and the unread output of each process until it is told to forget, and has room for
1,024 of them; so nobody but this object has to remember to tell it.
"""

from __future__ import annotations

from signal import SIGKILL

from firkin.agent.process import RemoteProcess
from firkin.agent.streams import StreamSender
from firkin.engine.noticed import NoticedStream
from firkin.process.spec import ExitStatus


class SpawnedProcess:
    """A Process that was started by exec."""

    def __init__(self, process: RemoteProcess) -> None:
        self._process = process
        self.stdout = NoticedStream(process.stdout, self._notice)
        self.stderr = NoticedStream(process.stderr, self._notice)
        self._told = False
        process.when_ended(self._notice)

    @property
    def pid(self) -> int:
        """Its process id in the machine."""
        return self._process.pid

    @property
    def stdin(self) -> StreamSender | None:
        return self._process.stdin

    async def wait(self) -> ExitStatus:
        """How it ended, once it did. Raises MachineDied."""
        return await self._process.wait()

    async def signal(self, number: int) -> None:
        """Send it signal `number`. Raises AgentError where it has ended."""
        await self._process.signal(number)

    async def kill(self) -> None:
        """Kill it, and what it started that is still in its process group, if it runs."""
        if self._process.exit is None:
            await self._process.signal(SIGKILL, group=True)

    async def resize(self, rows: int, cols: int) -> None:
        """Change the size of its terminal."""
        await self._process.resize(rows, cols)

    def _notice(self) -> None:
        process = self._process
        over = process.exit is not None and process.stdout.ended and process.stderr.ended
        if over and not self._told:
            self._told = True
            process.dismiss()
