"""QEMU's migration over QMP: a machine's state into a descriptor, and a machine out of one.

The rule: whoever starts a migration waits for its end, or gives it up and has the guest go on; no event is
waited for longer than its VMM lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from qemu.qmp import EventListener, QMPClient

from firkin.errors import AgentError, MachineError, Timeout
from firkin.machine.qemu import exit as exits
from firkin.machine.qemu.machine import Machine
from firkin.machine.qemu.monitor import execute

IGNORE_SHARED, PAUSE_BEFORE_SWITCHOVER = "x-ignore-shared", "pause-before-switchover"
_CAPABILITIES = (IGNORE_SHARED, PAUSE_BEFORE_SWITCHOVER, "events")
_FULL_SPEED, _LONG_MS = 1 << 40, 2_000_000
_NAME = "stream"
_ENDED = ("none", "completed", "failed", "cancelled")
_SETTLE_S = 10.0
_POLL_S = 0.001


class Progress(NamedTuple):
    """How often QEMU has looked for what the guest wrote, and what of the memory is left to copy."""

    rounds: int
    left_bytes: int


class Migration:
    """One migration of `machine`, outgoing or incoming; see migration()."""

    def __init__(self, machine: Machine, client: QMPClient, listener: EventListener) -> None:
        self._machine = machine
        self._client = client
        self._listener = listener

    async def send(self, fd: int, *, wait: bool = False) -> None:
        """Begin to write the machine to `fd`, which stays the caller's.

        With `wait` the guest is not stopped before converge(), unless it writes nothing.
        """
        await self._give(fd)
        await self._execute("migrate-set-parameters", **_speed(0 if wait else _LONG_MS))
        await self._execute("migrate", uri=f"fd:{_NAME}")

    async def converge(self) -> None:
        """Stop the guest, whatever is left to copy, and come to an end."""
        await self._execute("migrate-set-parameters", **_speed(_LONG_MS))

    async def progress(self) -> Progress:
        """How far the copying of memory is. Raises MachineError where it failed, MachineDied, Timeout."""
        answer: Any = await self._execute("query-migrate")
        if answer.get("status") in _ENDED:
            raise await self._failure()
        ram = answer["ram"]
        return Progress(ram["dirty-sync-count"], ram["remaining"])

    async def receive(self, fd: int) -> None:
        """Begin to read the machine from `fd`, which stays the caller's."""
        await self._give(fd)
        await self._execute("migrate-incoming", uri=f"fd:{_NAME}")

    async def reaches(self, status: str, deadline_s: float) -> None:
        """Wait until it stands at `status`. Raises MachineError where it failed, MachineDied, Timeout."""
        try:
            async with asyncio.timeout(deadline_s):
                while (now := await self._next()) != status:
                    if now in _ENDED:
                        raise await self._failure()
        except TimeoutError as error:
            raise Timeout(
                f"the state of machine {self._machine.name!r} was not moved within {deadline_s:g} s",
                hint="the host may be overloaded, or its disk slow",
            ) from error

    async def proceed(self) -> None:
        """Go on from `pre-switchover`."""
        await self._execute("migrate-continue", state="pre-switchover")

    async def _next(self) -> str:
        """The next status. Raises MachineDied where the VMM ends instead."""
        told = asyncio.ensure_future(self._listener.get())
        ended = asyncio.ensure_future(self._machine.wait())
        try:
            await asyncio.wait((told, ended), return_when=asyncio.FIRST_COMPLETED)
            if not told.done():
                raise exits.death(self._machine.name, ended.result())
            message: Any = told.result()
            return str(message["data"]["status"])
        finally:
            told.cancel()
            ended.cancel()

    async def _give(self, fd: int) -> None:
        self._client.send_fd_scm(fd)
        await self._execute("getfd", fdname=_NAME)

    async def _failure(self) -> MachineError:
        answer: Any = await self._execute("query-migrate")
        reason = str(answer.get("error-desc", answer.get("status")))[:300]
        return MachineError(
            f"the state of machine {self._machine.name!r} could not be moved: {reason}",
            hint="try again; see its console.log",
        )

    async def _execute(self, command: str, **arguments: object) -> object:
        return await execute(self._client, command, self._machine.name, arguments)


def _speed(limit_ms: int) -> dict[str, int]:
    return {"max-bandwidth": _FULL_SPEED, "downtime-limit": limit_ms}


@asynccontextmanager
async def migration(machine: Machine, capabilities: Sequence[str]) -> AsyncIterator[Migration]:
    """A migration with exactly these of x-ignore-shared and pause-before-switchover."""
    client = await machine.monitor()
    chosen = {*capabilities, "events"}
    states = [{"capability": name, "state": name in chosen} for name in _CAPABILITIES]
    await execute(client, "migrate-set-capabilities", machine.name, {"capabilities": states})
    with client.listener(names=("MIGRATION",)) as listener:
        yield Migration(machine, client, listener)


async def give_up(machine: Machine) -> None:
    """End the migration that `machine` may be in; none goes on when this returns. Raises MachineDied,
    Timeout.
    """
    client = await machine.monitor()
    await execute(client, "migrate_cancel", machine.name)
    async with _settling(machine, "give up being saved"):
        while True:
            answer: Any = await execute(client, "query-migrate", machine.name)
            if answer.get("status", "none") in _ENDED:
                return
            await asyncio.sleep(_POLL_S)


async def go_on(machine: Machine) -> None:
    """Let the guest run, however its migration has ended. Raises AgentError, MachineDied, Timeout.

    A migration tells its end before it lets go of the machine, and no event tells when it does.
    """
    client = await machine.monitor()
    status: Any = {"status": "finish-migrate"}
    async with _settling(machine, "go on"):
        while True:
            try:
                await execute(client, "cont", machine.name)
                return
            except AgentError:
                if status["status"] != "finish-migrate":
                    raise
                status = await execute(client, "query-status", machine.name)
            await asyncio.sleep(_POLL_S)


async def runs(machine: Machine) -> bool:
    """Whether the guest runs now. Raises MachineDied, Timeout."""
    status: Any = await execute(await machine.monitor(), "query-status", machine.name)
    return bool(status["running"])


@asynccontextmanager
async def _settling(machine: Machine, what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_SETTLE_S):
            yield
    except TimeoutError as error:
        raise Timeout(
            f"machine {machine.name!r} did not {what} within {_SETTLE_S:g} s",
            hint="the host may be overloaded",
        ) from error
