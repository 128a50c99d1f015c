"""Keeper: keeps one container's machine, from its start to its end.

    start() ── one task ──► launch ──► pump output until the end ──► put it on record ──► power off, remove

The rule: that one task enters and leaves everything that belongs to the container, so whatever ends it (its
process, its machine, a fault, a cancellation at any moment) takes the one way out: no process, no socket, no
half record is left behind it.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Any, TypeVar

import msgspec

from firkin.container.journal import note_container, note_end, note_networks, note_start
from firkin.container.locks import Lock
from firkin.container.log import Stream
from firkin.container.record import Created, Exited, Record, Running, State, Streams, Suspended
from firkin.container.restart import UNTRIED, Tries
from firkin.container.spec import ContainerSpec
from firkin.container.volume_use import remove_container
from firkin.engine.chores import Chores
from firkin.engine.ending import KILLED, Ending
from firkin.engine.launch import Launched
from firkin.engine.outlet import FirstByte, Outlet
from firkin.engine.restarting import due
from firkin.engine.transcript import Transcript
from firkin.errors import FirkinError, MachineDied, WrongState
from firkin.events import event, stage
from firkin.process.spec import ExitStatus

T = TypeVar("T")
Opening = Callable[[Callable[[], object]], AbstractAsyncContextManager[Launched]]
"""Makes what gives the running machine, and calls its argument once the guest boots."""

Save = Callable[[Running, Callable[[Suspended], None]], Awaitable[None]]
"""Saves the machine of a running container, and calls its second argument to put that on record."""

LAST_BYTES_PATIENCE_S = 2.0
SYNC_PATIENCE_S = 30.0


class Keeper:
    """Keeps the container of `record` and closes its `lock` at the end. `opening` gives its running machine,
    `serving` lets other processes ask for it while it runs, and hear of its end. `state` is that in which it
    was found: new, ended and to be started again, or running and left by a dead owner. With `detached` its
    machine outlives us.

    `booting` is set once the guest boots and there is time for other things; `launched` is None before and
    after the machine runs; `stdout` and `stderr` may be tapped at any time; `state` outlives the record of a
    container that removes itself; `chores` end with the machine.
    """

    def __init__(
        self,
        record: Record,
        lock: Lock,
        spec: ContainerSpec,
        opening: Opening,
        transcript: Transcript,
        serving: Callable[[], AbstractAsyncContextManager[None]],
        state: State,
        *,
        detached: bool,
        tries: Tries = UNTRIED,
    ) -> None:
        self.record = record
        self.launched: Launched | None = None
        self.state = state
        self.chores = Chores()
        self.spec = spec
        self._again = self._asked = False
        self._tries = tries
        self._detached = detached
        self._lock = lock
        self._opening = opening
        self._transcript = transcript
        self._serving = serving
        self.stdout, self.stderr = self._outlets(FirstByte(record.id))
        self._task: asyncio.Task[None] | None = None
        self._kill = asyncio.Event()
        self._removing = spec.auto_remove
        self.booting = asyncio.Event()
        self._started = asyncio.Event()
        self._ending: Ending | None = None
        self._over = asyncio.Event()

    @property
    def _name(self) -> str:
        return self.spec.name

    @property
    def over(self) -> bool:
        """Whether nothing of the machine is left."""
        return self._over.is_set()

    async def gone(self) -> None:
        """Wait until nothing of the machine is left."""
        await self._over.wait()

    async def ended(self) -> ExitStatus:
        """How the process ended, once nothing of the machine is left. Raises what ended it otherwise."""
        await self.gone()
        if isinstance(self.state, Suspended):
            raise self._was_suspended()
        if self._ending is None:
            raise WrongState(f"container {self._name!r} did not start")
        if self._ending.error is not None:
            raise self._ending.error
        return self._ending.status

    @property
    def paused(self) -> bool:
        """Whether its machine stands still, and is to."""
        return isinstance(self.state, Running) and self.state.paused

    def note_paused(self, paused: bool) -> None:
        """Put on record whether its machine stands still. Raises StorageFull."""
        assert isinstance(self.state, Running)
        noted = msgspec.structs.replace(self.state, paused=paused)
        self.record.set_running(noted)
        self.state = noted
        note_container(self.record.paths, "pause" if paused else "unpause", self.spec)

    def running(self) -> Launched:
        """The machine and its first process. Raises WrongState where they do not run, or stand still."""
        launched = self.machine()
        if self.paused:
            raise WrongState(f"container {self._name!r} is paused", hint=f"`firkin unpause {self._name}`")
        return launched

    def machine(self) -> Launched:
        """The machine and its first process, paused or not. Raises WrongState where there is none."""
        if self.launched is None or self._ending is not None:
            raise WrongState(
                f"container {self._name!r} is not running", hint="`firkin ps -a` shows its state"
            )
        return self.launched

    def recorded(self) -> Streams:
        """How much of its process's output is written down now, by the agent's count."""
        written = Streams(self._transcript.offset("stdout"), self._transcript.offset("stderr"))
        return written.plus(self.state.ahead) if isinstance(self.state, Running) else written

    async def suspend(self, save: Save) -> None:
        """End its machine, which `save` saves and lets stand still; gone when this returns.

        Raises WrongState where it does not run or ends meanwhile, StorageFull where that cannot be put on
        record, and what `save` raises: then it goes on.
        """
        launched = self.running()
        assert isinstance(self.state, Running)
        await save(self.state, self._suspended)
        launched.client.part(self._was_suspended())
        event("container.suspended", container=self.record.id, name=self._name)
        note_container(self.record.paths, "checkpoint", self.spec)
        note_networks(self.record.paths, "disconnect", self.spec)
        self._kill.set()
        await self.gone()

    def _suspended(self, suspended: Suspended) -> None:
        """Put on record that it is. Raises WrongState, StorageFull; then it is on record as running."""
        self.running()  # it may have ended meanwhile
        assert isinstance(self.state, Running)
        try:
            self.record.set_suspended(suspended)
        except FirkinError:
            with suppress(FirkinError):  # it may have been written, but not be on the disk for sure
                self.record.set_running(self.state)
            raise
        self.state, self._removing = suspended, False

    def _was_suspended(self) -> WrongState:
        return WrongState(f"container {self._name!r} was suspended", hint=f"`firkin resume {self._name}`")

    def begin_rewiring(self, spec: ContainerSpec) -> None:
        """Put on record that its networks are those of `spec`, and that its guest is yet to have them.

        Raises StorageFull.
        """
        self._note_rewiring(True)
        self.record.connect(spec)
        self.spec = self.record.spec()

    def end_rewiring(self) -> None:
        """Its guest has the networks that are on record."""
        with suppress(FirkinError):  # else whoever takes it over sees to that once more
            self._note_rewiring(False)

    def _note_rewiring(self, rewiring: bool) -> None:
        if isinstance(self.state, Running) and self.state.rewiring != rewiring:  # and has not ended meanwhile
            noted = msgspec.structs.replace(self.state, rewiring=rewiring)
            self.record.set_running(noted)
            self.state = noted

    def rename(self, name: str) -> None:
        """Give it another name. Raises as Record.rename()."""
        self.spec = self.record.rename(name)

    def update(self, spec: ContainerSpec) -> None:
        """Let its limits and its restart policy be those of `spec`. Raises StorageFull."""
        self.record.update(spec)
        self.spec = self.record.spec()

    def expect_end(self) -> None:
        """Somebody asks it to end: its policy does not start it again."""
        self._asked = True

    def expect_another_start(self) -> None:
        """It is about to end in order to be started again, and stays for that even with auto_remove."""
        self._again, self._removing = True, False

    def discard(self) -> None:
        """Delete the record of a container that has ended."""
        if not self._removing:
            with self.record.own():
                remove_container(self.record)
            self._removing = True

    async def start(self) -> None:
        """Start it; its process runs when this returns. When this raises, nothing is left of it."""
        self._task = asyncio.create_task(self._keep(), name=f"container {self._name}")
        started = asyncio.create_task(self._started.wait())
        try:
            await asyncio.wait((self._task, started), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.close(remove=self._is_new())
            raise
        finally:
            started.cancel()
        if not self._started.is_set():
            await self._task  # raises what kept it from starting

    async def close(self, *, remove: bool = False) -> None:
        """End it at once, whatever it does; gone when this returns. With `remove` its record goes too.

        One that is ending by itself is given the time to write down what it has.
        """
        self._removing |= remove
        if remove or self._ending is None:
            self._kill.set()
        if self._task is not None:
            if not self._started.is_set():
                self._task.cancel()
            await self.gone()

    @property
    def done(self) -> bool:
        """Whether it is gone and whoever asked from another process knows."""
        return self._task is not None and self._task.done()

    async def finished(self) -> None:
        """Wait until it is gone, and whoever asked from another process knows."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def _keep(self) -> None:
        """The container's whole life, in one task. Raises only what kept it from starting."""
        serving = asyncio.create_task(self._serve())
        try:
            async with self._opening(self.booting.set) as launched, self.chores:
                self._begin(launched)
                self._ending = await self._live(launched)
                self._conclude(self._ending)
                await self._unless_killed(self._settle(launched))
        except Exception as error:
            if not self._started.is_set():
                serving.cancel()
                if isinstance(self.state, Running):  # it could not be taken over: that is its end
                    self._ending = Ending.failed(error)
                raise
            self._ending = Ending.failed(error)  # told to whoever waits
        finally:
            self.launched = None
            self._leave()
        await serving

    async def _serve(self) -> None:
        """Let others ask for it until it is over, and hear how. Without that, its owner still can."""
        await self.booting.wait()
        serving = self._serving()  # loads what it takes, while the guest boots
        await self._started.wait()
        try:
            async with serving:
                await self.gone()
        except FirkinError as error:
            event("container.unserved", container=self.record.id, error=error)

    def _begin(self, launched: Launched) -> None:
        machine = launched.machine
        if not isinstance(self.state, Running):
            suspended = self.state if isinstance(self.state, Suspended) else None
            self.state = Running(
                pid=machine.pid,
                started_ns=time.time_ns() if suspended is None else suspended.started_ns,
                accelerator=machine.accelerator,
                ports=launched.ports,
                proc=launched.process.proc,
                detached=self._detached,
                ahead=launched.counted.minus(self._transcript.begin),
                tries=self._tries,
                cards=machine.cards,
            )
            self.record.set_running(self.state)
            note_start(self.record.paths, self.spec)
        self.end_rewiring()  # by whoever took it over
        self.launched = launched
        self._started.set()

    async def _live(self, launched: Launched) -> Ending:
        """Serve it until it ends or is to end. Raises what a subscriber of events raises."""
        ending = await self._unless_killed(self._attend(launched))
        return KILLED if ending is None else ending

    async def _unless_killed(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What `work` returns; None where a kill came first."""
        working = asyncio.create_task(work)
        killed = asyncio.create_task(self._kill.wait())
        try:
            await asyncio.wait((working, killed), return_when=asyncio.FIRST_COMPLETED)
            if self._has_exited():
                await asyncio.wait((working,), timeout=LAST_BYTES_PATIENCE_S)
            return working.result() if working.done() else None
        finally:
            working.cancel()
            killed.cancel()
            await asyncio.wait((working, killed))

    def _has_exited(self) -> bool:
        """Whether its process has ended by itself, so that only its last bytes are on their way."""
        return self.launched is not None and self.launched.process.exit is not None

    async def _attend(self, launched: Launched) -> Ending:
        """Pump its output until the process has ended and everything that it wrote is in the log."""
        process = launched.process
        pumps = (self.stdout.pump(process.stdout), self.stderr.pump(process.stderr))
        tasks = [asyncio.create_task(work) for work in (process.wait(), *pumps)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            errors = [error for task in tasks if task.done() and (error := task.exception())]
            if not errors:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LAST_BYTES_PATIENCE_S):
                        await launched.last_words()
                return Ending(await process.wait())
            if isinstance(errors[0], MachineDied):
                await asyncio.wait(tasks, timeout=LAST_BYTES_PATIENCE_S)
                return Ending.failed(await launched.death())
            return Ending.failed(errors[0])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def _conclude(self, ending: Ending) -> None:
        """Put its end on record, once."""
        if isinstance(self.state, Running):
            now_ns = time.time_ns()
            ended = Exited(
                status=ending.status,
                started_ns=self.state.started_ns,
                finished_ns=now_ns,
                reason=ending.reason,
                again_ns=now_ns if self._again else None,
                tries=UNTRIED if self._again else self.state.tries,
            )
            asked = self._asked or ending == KILLED
            self.state = ended if asked else due(self.spec, self.state, ended)
            event("container.exited", container=self.record.id, name=self._name, status=ending.status.status)
            if not self._removing:
                self.record.set_exited(self.state)
            else:
                note_end(self.record.paths, self.spec, ending.status)

    async def _settle(self, launched: Launched) -> None:
        """Let the machine write down what the container wrote, when that is to be kept."""
        if self._removing and not self.spec.outlived:
            launched.discard()
            return
        if self._ending is None or not self._ending.orderly:
            return
        with stage("machine.stop", machine=self._name), suppress(FirkinError, TimeoutError):
            async with asyncio.timeout(SYNC_PATIENCE_S):
                await launched.settle()

    def _leave(self) -> None:
        """Leave nothing behind but the record, where that is to stay. Never raises."""
        if self._ending is None and self._started.is_set():
            self._ending = KILLED
        error = None if self._ending is None else self._ending.error
        for outlet in (self.stdout, self.stderr):
            outlet.end(error)
        self._transcript.finish()
        shutil.rmtree(self.record.paths.container_run_dir(self.record.id), ignore_errors=True)
        try:
            if isinstance(self.state, Suspended):
                pass  # it is as it was, or as it is to be
            elif self._removing or self._is_new():
                remove_container(self.record)
            elif self._ending is not None:
                self._conclude(self._ending)
        except FirkinError as failed:
            event("container.left", container=self.record.id, error=failed)  # the next run tidies
        finally:
            self._lock.close()
            self._over.set()

    def _is_new(self) -> bool:
        """Whether there is to be nothing of it unless it is started."""
        return isinstance(self.state, Created) and not self.state.kept

    def _outlets(self, first: FirstByte) -> tuple[Outlet, Outlet]:
        def outlet(stream: Stream) -> Outlet:
            transcript = self._transcript
            return Outlet(
                write=partial(transcript.append, stream),
                history=partial(transcript.history, stream),
                first=first,
            )

        return outlet("stdout"), outlet("stderr")
