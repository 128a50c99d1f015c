"""Checkups: the health checks of one running container, made by whoever owns it.

    a gap ──► probe: one more process in the container, or a connection to it ──► Health, on record ──► an
    event where it changed, and what is to be done then

The rule: one probe at a time, each with its deadline, and none while the container stands still; what was
being found out when it was paused says nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from firkin.container.health import FAILED_TO_RUN, OUTPUT_BYTES, HealthCheck, Probe
from firkin.container.health_record import health_of, put_health
from firkin.container.journal import note_container
from firkin.container.record import Running
from firkin.engine.keeper import Keeper
from firkin.engine.options import ExecOptions
from firkin.engine.spawned import SpawnedProcess
from firkin.errors import FirkinError, MachineDied, OutcomeUnknown, WrongState
from firkin.events import event
from firkin.process.protocol import ByteReceiver

if TYPE_CHECKING:
    from firkin.container.port_test import PortTest
    from firkin.engine.port_probe import Dial

_LAST_BYTES_S = 1.0
"""How long output is waited for once the command has ended: what it left behind may hold it open."""


class Checkups:
    """Those of the container of `keeper`, which runs. `spawn` starts a process in it, `dial` connects to a
    port of it; `fallen_ill` is called once it is found to be unhealthy.
    """

    def __init__(
        self,
        keeper: Keeper,
        check: HealthCheck,
        spawn: Callable[[ExecOptions], Awaitable[SpawnedProcess]],
        dial: Dial,
        fallen_ill: Callable[[], Awaitable[None]],
    ) -> None:
        assert isinstance(keeper.state, Running)
        self._keeper = keeper
        self._check = check
        self._spawn = spawn
        self._dial = dial
        self._fallen_ill = fallen_ill
        self._started_ns = keeper.state.started_ns
        self._health = health_of(keeper.record, keeper.state)
        log = self._health.log
        self._last_ns = log[-1].end_ns if log else self._started_ns
        self._probing = asyncio.Lock()

    def begin(self) -> None:
        """Make them from now on, until the machine ends."""
        self._keeper.chores.start(self._go_on())

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self._pause_s())
            if self._pause_s() > 0:
                continue
            with suppress(WrongState, MachineDied, OutcomeUnknown):  # it was just paused, or ends
                await self.probe()

    def _pause_s(self) -> float:
        """How long there is nothing to do."""
        now_ns = time.time_ns()
        gap_s = self._check.gap_s(self._health, self._started_ns, now_ns)
        if self._keeper.paused:
            return gap_s
        return min(gap_s, max(0.0, gap_s - (now_ns - self._last_ns) / 1e9))

    async def probe(self) -> Probe:
        """Find out now how it is. Raises WrongState where it does not run, or was paused meanwhile,
        MachineDied, OutcomeUnknown.
        """
        async with self._probing:
            state = self._keeper.state
            try:
                self._keeper.running()
                probe = await self._probed()
                if self._keeper.state is not state:
                    self._keeper.running()
                    raise WrongState(
                        f"container {self._keeper.spec.name!r} was paused during its health check"
                    )
            finally:
                self._last_ns = time.time_ns()
            self._note(probe)
            return probe

    async def _probed(self) -> Probe:
        start_ns = time.time_ns()
        said = bytearray()
        try:
            port = self._check.port
            exit_code = await (self._run(said) if port is None else self._asked(port, said))
            trouble = ""
        except TimeoutError:
            exit_code = FAILED_TO_RUN
            trouble = f"Health check exceeded timeout ({self._check.timeout_s:g}s)"
        except (WrongState, MachineDied, OutcomeUnknown):
            raise
        except FirkinError as error:  # there is no such command, or no such user
            exit_code, trouble = FAILED_TO_RUN, str(error)
        output = ": ".join(filter(None, (trouble, said.decode(errors="replace"))))
        return Probe(
            start_ns=start_ns, end_ns=time.time_ns(), exit_code=exit_code, output=output[:OUTPUT_BYTES]
        )

    async def _run(self, said: bytearray) -> int:
        """The exit code of the command; what it wrote is `said`. Raises TimeoutError once that is killed."""
        starting = asyncio.ensure_future(self._spawn(ExecOptions(command=self._check.args)))
        starting.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            async with asyncio.timeout(self._check.timeout_s):
                return await _ended(await asyncio.shield(starting), said)
        except BaseException:
            self._keeper.chores.start(_end(starting))
            raise

    async def _asked(self, port: PortTest, said: bytearray) -> int:
        """0 where the port answers as it should. Raises TimeoutError."""
        from firkin.engine.port_probe import look

        async with asyncio.timeout(self._check.timeout_s):
            return await look(port, self._dial, said)

    def _note(self, probe: Probe) -> None:
        record, was = self._keeper.record, self._health.status
        self._health = self._health.after(probe, self._check)
        try:
            put_health(record, self._health)
        except FirkinError as error:
            event("health.unrecorded", container=record.id, error=error)
        if self._health.status != was:
            note_container(record.paths, f"health_status: {self._health.status}", self._keeper.spec)
            if self._health.status == "unhealthy" and self._check.on_failure != "none":
                self._keeper.chores.start(self._act())

    async def _act(self) -> None:
        event("health.acted", container=self._keeper.record.id, action=self._check.on_failure)
        with suppress(FirkinError):  # it ends already
            await self._fallen_ill()


async def _ended(process: SpawnedProcess, said: bytearray) -> int:
    reading = [asyncio.ensure_future(_read(each, said)) for each in (process.stdout, process.stderr)]
    try:
        status = await process.wait()
        await asyncio.wait(reading, timeout=_LAST_BYTES_S)
        return status.status
    finally:
        for each in reading:
            each.cancel()
        await asyncio.wait(reading)
        process.stdout.close()
        process.stderr.close()


async def _read(stream: ByteReceiver, said: bytearray) -> None:
    """Keep the beginning of what is written, and drop the rest: nobody waits for its reader."""
    with suppress(FirkinError):
        while data := await stream.read():
            said += data[: OUTPUT_BYTES - len(said)]


async def _end(starting: asyncio.Future[SpawnedProcess]) -> None:
    """Kill what was being started, with what it started itself."""
    with suppress(FirkinError):
        process = await starting
        process.stdout.close()
        process.stderr.close()
        await process.kill()
