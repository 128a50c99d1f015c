"""QEMU's migration over QMP: a machine's state into a descriptor, and a machine out of one.

The rule: whoever starts a migration waits for its end; a migration that fails leaves the machine as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from qemu.qmp import EventListener, QMPClient

from firkin.errors import MachineError, Timeout
from firkin.machine.qemu.monitor import execute

_FULL_SPEED = 1 << 40
_DOWNTIME_MS = 20
"""What of the memory may be left to copy when the guest is stopped: as much as takes this long."""
_NAME = "stream"
_CAPABILITIES = ("x-ignore-shared", "pause-before-switchover", "events")


class Migration:
    """One migration of the machine behind `client`, outgoing or incoming; see migration()."""

    def __init__(self, client: QMPClient, machine: str, listener: EventListener, deadline_s: float) -> None:
        self._client = client
        self._machine = machine
        self._listener = listener
        self._deadline_s = deadline_s

    async def send(self, fd: int) -> None:
        """Begin to write the machine to `fd`, which stays the caller's."""
        await self._give(fd)
        await self._execute("migrate-set-parameters", **_PARAMETERS)
        await self._execute("migrate", uri=f"fd:{_NAME}")

    async def receive(self, fd: int) -> None:
        """Begin to read the machine from `fd`, which stays the caller's."""
        await self._give(fd)
        await self._execute("migrate-incoming", uri=f"fd:{_NAME}")

    async def reaches(self, status: str) -> None:
        """Wait until it stands at `status`. Raises MachineError where it failed, Timeout."""
        try:
            async with asyncio.timeout(self._deadline_s):
                async for message in self._listener:
                    event: Any = message
                    now = event["data"]["status"]
                    if now == status:
                        return
                    if now in ("failed", "cancelled", "completed"):
                        raise MachineError(
                            f"the state of machine {self._machine!r} could not be moved: {await self._why()}",
                            hint="is there room on the disk? see its console.log",
                        )
        except TimeoutError as error:
            raise Timeout(
                f"the state of machine {self._machine!r} was not moved within {self._deadline_s:g} s",
                hint="the host may be overloaded, or its disk slow",
            ) from error

    async def proceed(self) -> None:
        """Go on from `pre-switchover`."""
        await self._execute("migrate-continue", state="pre-switchover")

    async def cancel(self) -> None:
        """Give up; the machine stays as it was."""
        await self._execute("migrate_cancel")

    async def _give(self, fd: int) -> None:
        self._client.send_fd_scm(fd)
        await self._execute("getfd", fdname=_NAME)

    async def _why(self) -> str:
        answer: Any = await self._execute("query-migrate")
        return str(answer.get("error-desc", answer.get("status")))[:300]

    async def _execute(self, command: str, **arguments: object) -> object:
        return await execute(self._client, command, self._machine, arguments)


_PARAMETERS = {"max-bandwidth": _FULL_SPEED, "downtime-limit": _DOWNTIME_MS}


@asynccontextmanager
async def migration(
    client: QMPClient, machine: str, *, capabilities: Sequence[str], deadline_s: float
) -> AsyncIterator[Migration]:
    """A migration with exactly these of x-ignore-shared and pause-before-switchover."""
    chosen = {*capabilities, "events"}
    states = [{"capability": name, "state": name in chosen} for name in _CAPABILITIES]
    await execute(client, "migrate-set-capabilities", machine, {"capabilities": states})
    with client.listener(names=("MIGRATION",)) as listener:
        yield Migration(client, machine, listener, deadline_s)
