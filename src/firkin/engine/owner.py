"""OwnedContainer: a container whose machine this process keeps, with everything that a Container shows."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from firkin.container.health import HealthCheck, Probe
from firkin.container.journal import note_container
from firkin.container.locks import Lock
from firkin.container.log import LogRecord
from firkin.container.record import Created, Exited, Record, Running, State, Streams, Suspended
from firkin.container.restart import UNTRIED, Tries
from firkin.container.spec import ContainerSpec
from firkin.engine.attached import AttachedProcess
from firkin.engine.container import check_removable, no_health_check
from firkin.engine.keeper import Keeper, Opening
from firkin.engine.launch import Launched, launch, resume
from firkin.engine.logged import Ended
from firkin.engine.options import ExecOptions
from firkin.engine.pod_members import OWN_DISK, SNAPSHOTS, refuse, refuse_in_pods
from firkin.engine.transcript import Transcript
from firkin.errors import FirkinError, MachineDied, WrongState
from firkin.machine.start import Lifetime
from firkin.machine.started import Started
from firkin.process.protocol import Process
from firkin.process.spec import ExitStatus, Outputs
from firkin.settings import Settings

if TYPE_CHECKING:
    from firkin.engine.checkups import Checkups
    from firkin.engine.connection import Connection, Listener
    from firkin.engine.joining import Change
    from firkin.engine.restore import Origin
    from firkin.engine.saving import Source
    from firkin.engine.spawned import SpawnedProcess
    from firkin.engine.update_words import UpdateOptions
    from firkin.machine.namespace.launch import StartedNamespace
    from firkin.snapshot.record import Snapshot
    from firkin.wire.messages import ProcessRow
    from firkin.wire.sockets import Place
    from firkin.wire.trees import Task
    from firkin.wire.usage import Usage

KILL_PATIENCE_S = 5.0
REQUEST_PATIENCE_S = 5.0


class OwnedContainer:
    """A container of this process (see engine.container.Container). Made by create() or adopt()."""

    def __init__(
        self,
        record: Record,
        lock: Lock,
        opening: Callable[[ContainerSpec, Transcript], Opening],
        state: State,
        settings: Settings,
        *,
        detached: bool,
        tries: Tries = UNTRIED,
    ) -> None:
        spec = record.spec()
        self._settings = settings
        transcript = Transcript(record.log_path, _began(state))
        launched = opening(spec, transcript)
        self._snapshotting = asyncio.Lock()
        self._checkups: Checkups | None = None
        self._keeper = Keeper(
            record, lock, spec, launched, transcript, self._serving, state, detached=detached, tries=tries
        )

    @classmethod
    def create(
        cls,
        record: Record,
        lock: Lock,
        *,
        settings: Settings,
        lifetime: Lifetime,
        started: Started | StartedNamespace | None = None,
        tries: Tries = UNTRIED,
    ) -> OwnedContainer:
        """A container that start() will start: that of `record`, which this process owns by `lock`.

        It is new, goes on from a snapshot or from where it was suspended, or has ended and is started again.
        `started` is its VMM, where that runs already: start() takes it over. `tries` are those that it took
        by itself, this one among them. From here on the lock is the container's. Raises StorageFull, Corrupt,
        and SnapshotNotFound where it is to go on from one that is gone.
        """

        def opening(spec: ContainerSpec, transcript: Transcript) -> Opening:
            if spec.isolation == "namespace":
                from firkin.engine import namespaced

                assert not isinstance(started, Started)
                return partial(
                    namespaced.launch, record, spec, settings=settings, lifetime=lifetime, started=started
                )
            assert started is None or isinstance(started, Started)
            if (origin := _origin(record, spec, state, transcript)) is not None:
                from firkin.engine.restore import restore

                return partial(
                    restore, record, spec, origin, transcript, settings=settings, lifetime=lifetime
                )
            return partial(launch, record, spec, settings=settings, lifetime=lifetime, started=started)

        state = record.state()
        if isinstance(state, Exited):
            record.begin_again(state)
        return cls(record, lock, opening, state, settings, detached=lifetime == "detached", tries=tries)

    @classmethod
    def adopt(cls, record: Record, lock: Lock, state: Running, *, settings: Settings) -> OwnedContainer:
        """A running container that start() will take over from a dead owner, with all of its output."""

        def opening(spec: ContainerSpec, transcript: Transcript) -> Opening:
            if spec.isolation == "namespace":
                from firkin.engine import namespaced

                return partial(namespaced.resume, record, spec, state, transcript)
            return partial(resume, record, spec, state, transcript)

        return cls(record, lock, opening, state, settings, detached=state.detached)

    @property
    def spec(self) -> ContainerSpec:
        return self._keeper.spec

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self.spec.id

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def state(self) -> State:
        """As it is now; it outlives the record of one that removed itself."""
        return self._keeper.state

    async def start(self) -> None:
        """Start it; its process runs when this returns. When this raises, nothing is left of it."""
        await self._keeper.start()
        if self.spec.health is not None:
            self._check_it(self.spec.health)

    def _check_it(self, check: HealthCheck) -> None:
        """Find out from now on how it is."""
        from firkin.engine.checkups import Checkups

        if isinstance(self.state, Running):  # else it has ended already
            self._checkups = Checkups(
                self._keeper, check, self._exec, self._dial, partial(self._fell_ill, check)
            )
            self._checkups.begin()

    async def booting(self) -> None:
        """Wait until its guest boots and there is time for other things."""
        await self._keeper.booting.wait()

    async def close(self, *, remove: bool = False) -> None:
        """End it at once, whatever it does; gone when this returns. With `remove` its record goes too."""
        await self._keeper.close(remove=remove)

    @property
    def settings(self) -> Settings:
        """Those that it was started with."""
        return self._settings

    @property
    def done(self) -> bool:
        """Whether finished() would return at once."""
        return self._keeper.done

    async def finished(self) -> None:
        """Wait until it is gone, and whoever asked from another process knows how it ended."""
        await self._keeper.finished()

    async def attach(self, *, stdin: bool = False, replay: bool = False) -> Process:
        """Its first process; with `replay` also what it wrote before. Legal after its end, too."""
        launched = self._keeper.launched
        return AttachedProcess(
            Ended(self.name) if launched is None else launched.process,
            stdin=launched.process.stdin if stdin and launched is not None else None,
            stdout=self._keeper.stdout.tap(replay=replay),
            stderr=self._keeper.stderr.tap(replay=replay),
            ended=self._process_ended,
        )

    async def exec(self, options: ExecOptions) -> Process:
        """Start one more process in it. Raises as the agent refuses it, WrongState after the end."""
        return await self._exec(options)

    async def _exec(self, options: ExecOptions) -> SpawnedProcess:
        from firkin.engine.filters import filter_for
        from firkin.engine.resolve import exec_process
        from firkin.engine.spawn_op import rlimits_of, spawn_op
        from firkin.engine.spawned import SpawnedProcess

        process = exec_process(options, self.spec.process)
        client = self._keeper.running().client
        read = (Outputs(stdout="null", stderr="null") if options.detach else process.outputs).connected()
        filter, limits = (
            filter_for(self.spec, process.policy, self._settings),
            rlimits_of(self.spec.isolation),
        )
        op = spawn_op(self.id, process, filter, limits)
        spawned = await client.spawn(op, stdin=process.stdin, **read)
        return SpawnedProcess(spawned)

    async def work(self, task: Task, member: str = "") -> Process:
        """Pack, unpack or stat files of it; see Container.work(). Raises WrongState for a member of it."""
        from firkin.engine.spawned import SpawnedProcess

        if member:
            raise WrongState(f"{self.name!r} is no pod")
        client = self._keeper.running().client
        return SpawnedProcess(await client.work(*self._placed(task)))

    def _placed(self, task: Task) -> tuple[Task, str]:
        """What the agent is asked for `task`, and of which container."""
        return task, self.id

    async def dial(self, place: Place, timeout_s: float | None = None) -> Connection:
        """A connection to a port or a unix socket in it; see Container.dial()."""
        from firkin.engine.deadline import within

        sockets = self._keeper.running().client.sockets
        async with within(timeout_s, f"dialling {place.called} of container {self.name!r}"):
            return await sockets.connect(self.id, place)

    async def _dial(self, place: Place) -> Connection:
        return await self._keeper.running().client.sockets.connect(self.id, place)

    async def _fell_ill(self, check: HealthCheck) -> None:
        """Do what its health check says of one that is unhealthy."""
        if check.on_failure == "stop":
            await self.stop()
        elif check.on_failure == "kill":
            await self._send(signal.SIGKILL)
        else:
            await self._descend(self.spec.stop_timeout_s)

    async def listen(self, place: Place, *, mode: int = 0o600, uid: int = 0, gid: int = 0) -> Listener:
        """Listen in it for this host. Raises PortInUse, AgentError, WrongState."""
        return await self._keeper.running().client.sockets.listen(self.id, place, mode=mode, uid=uid, gid=gid)

    async def rename(self, name: str) -> None:
        """Give it another name; see Container.rename()."""
        if not self._keeper.over:
            self._keeper.rename(name)
            if self._keeper.launched is not None and self._keeper.launched.cords is not None:
                await self._keeper.launched.cords.tell(self.spec)
            return
        with self._keeper.record.own():
            self._keeper.rename(name)

    async def update(self, asked: UpdateOptions) -> None:
        """Change what it may use; see Container.update()."""
        from firkin.engine.updating import update, updated

        if not self._keeper.over:
            return await update(self._keeper, asked)
        with self._keeper.record.own():
            self._keeper.update(updated(self.spec, self.state, asked))

    async def rewire(self, change: Change) -> None:
        """Let it come to a network, or leave one; see Container.rewire()."""
        from firkin.engine import joining

        if not self._keeper.over:
            from firkin.engine.rewiring import rewire

            async with self._snapshotting:
                return await rewire(self._keeper, change)
        with self._keeper.record.own():
            self._keeper.spec = joining.put_on_record(self._keeper.record, self.spec, self.state, change)

    async def stop(self, timeout_s: float | None = None, *, again: bool = False) -> None:
        """Its stop signal; after `timeout_s` (None: the container's own) SIGKILL; gone when this returns."""
        ran = not self._keeper.over
        await self._stop(timeout_s, again=again)
        if ran:
            note_container(self._keeper.record.paths, "stop", self.spec)

    async def _stop(self, timeout_s: float | None, *, again: bool) -> None:
        self._keeper.expect_end()
        if again:
            self._keeper.expect_another_start()
        await self._descend(self.spec.stop_timeout_s if timeout_s is None else timeout_s)

    async def _descend(self, patience_s: float) -> None:
        if patience_s > 0:
            await self._send(self.spec.stop_signal)
            if await self._ends_within(patience_s):
                return
        await self._send(signal.SIGKILL)
        if not await self._ends_within(KILL_PATIENCE_S):
            await self.close()

    async def kill(self, number: int) -> None:
        """Send signal `number` to its first process; a paused one goes on with it. Raises WrongState where it
        has ended.
        """
        launched = self._keeper.machine()
        if number in (signal.SIGKILL, self.spec.stop_signal):
            self._keeper.expect_end()
        await self._signal(launched, number)
        note_container(self._keeper.record.paths, "kill", self.spec, signal=str(number))

    async def wait(self) -> ExitStatus:
        """How its first process ended, once nothing of the machine is left. Raises MachineDied."""
        return await self._keeper.ended()

    async def remove(self, *, force: bool = False) -> None:
        """Delete it with all that it wrote. Raises WrongState where it runs or is suspended and `force` is
        not given.
        """
        if not force:
            check_removable(self.state, self.name)
        if not self._keeper.over:
            await self.close(remove=True)
        else:
            self._keeper.discard()

    async def snapshot(self, name: str = "", *, disk_only: bool = False) -> Snapshot:
        """Keep it as it is now; see Container.snapshot(). Raises WrongState while it starts."""
        from firkin.engine import disk_snapshots

        refuse(self.spec, SNAPSHOTS)
        record = self._keeper.record
        if self._keeper.over:
            return await disk_snapshots.take_of_ended(record, name)
        launched = self._keeper.running()
        async with self._snapshotting:
            if disk_only:
                return await disk_snapshots.take(record, launched, name)
            from firkin.engine import snapshots

            return await snapshots.take(self._source(launched), name)

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Snapshot]:
        """A snapshot for others to start from; see Container.lend()."""
        from firkin.engine import snapshots

        refuse(self.spec, SNAPSHOTS)
        async with AsyncExitStack() as stack:
            async with self._snapshotting:
                lending = snapshots.lend(self._source(self._keeper.running()))
                snapshot = await stack.enter_async_context(lending)
            yield snapshot

    async def suspend(self) -> None:
        """Save its machine beside its disk, and end it; see Container.suspend()."""
        from firkin.engine import suspended

        refuse(self.spec, "only a machine of one container is suspended")
        async with self._snapshotting:
            source = self._source(self._keeper.running())
            await self._keeper.suspend(partial(suspended.suspend, source))

    async def pause(self) -> None:
        """Let it stand still, and put that on record; see Container.pause()."""
        from firkin.engine.paused import pause

        async with self._snapshotting:
            await pause(self._keeper)

    async def unpause(self) -> None:
        """Let it go on; see Container.unpause()."""
        from firkin.engine.paused import unpause

        await unpause(self._keeper)

    async def rest(self) -> None:
        """Let it stand still until wake(), as if no time passed; see engine.standing. Raises WrongState."""
        from firkin.engine.standing import rest

        async with self._snapshotting:
            await rest(self._keeper.running())

    async def wake(self) -> None:
        """Let it go on after rest(), with the time as it is now. Raises WrongState, MachineDied, Timeout."""
        from firkin.engine.standing import wake

        await wake(self._keeper.running())

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Its disk stands still in the block; see Container.still()."""
        from firkin.engine.disk_snapshots import frozen
        from firkin.engine.paused import stopped
        from firkin.engine.stillness import of_ended

        refuse_in_pods(self.spec, OWN_DISK)
        record = self._keeper.record
        if self._keeper.over:
            async with of_ended(record):
                yield
            return
        if self.spec.isolation == "namespace":
            async with self._snapshotting, stopped(self._keeper):
                yield
            return
        launched = self._keeper.running()
        async with self._snapshotting, frozen(record, launched):
            yield

    async def logs(
        self, *, follow: bool = False, tail: int | None = None, since_ns: int | None = None
    ) -> AsyncIterator[LogRecord]:
        """What its first process wrote; with `follow` until the container has ended."""
        from firkin.container import logs

        path = self._keeper.record.log_path
        if not follow:
            for record in logs.read(path, tail=tail, since_ns=since_ns):
                yield record
            return
        async for record in logs.follow(path, lambda: self._keeper.over, tail=tail, since_ns=since_ns):
            yield record

    async def top(self) -> list[ProcessRow]:
        """Its processes, by ids as in the container. Raises WrongState where it has ended."""
        from firkin.wire.messages import ProcessRow, Ps, convert

        answer = await self._keeper.running().client.request(Ps(container=self.id))
        rows: list[ProcessRow] = convert(answer.get("processes"), list[ProcessRow])
        return rows

    async def stats(self) -> Usage:
        """What it has used until now; see Container.stats()."""
        from firkin.engine.usage import usage_of

        return await usage_of(self._keeper.running(), self.id)

    async def check_health(self) -> Probe:
        """Find out now whether it is healthy; see Container.check_health()."""
        if self.spec.health is None:
            raise no_health_check(self.name)
        self._keeper.running()
        if self._checkups is None:
            raise WrongState(f"container {self.name!r} is just starting", hint="ask again")
        return await self._checkups.probe()

    def inspect(self) -> dict[str, Any]:
        """Everything that is known of it, ready for JSON."""
        from firkin.engine.facts import container_facts

        return container_facts(self.spec, self._keeper.state, self._keeper.record)

    def _source(self, launched: Launched) -> Source:
        from firkin.engine.saving import Source

        return Source(self._keeper.record, launched, self._settings, self._keeper.recorded)

    def _serving(self) -> AbstractAsyncContextManager[None]:
        from firkin.engine.control import serve

        return serve(self, self._keeper.record.paths.control_socket_path(self.id))

    async def _send(self, number: int) -> None:
        """Send a signal to its first process, if that still listens."""
        if self._keeper.launched is not None:
            with suppress(FirkinError, TimeoutError):
                async with asyncio.timeout(REQUEST_PATIENCE_S):
                    await self._signal(self._keeper.launched, number)

    async def _signal(self, launched: Launched, number: int) -> None:
        if not self._keeper.paused:
            return await launched.process.signal(number)
        from firkin.engine.paused import unpause
        from firkin.wire.messages import Signal

        await unpause(self._keeper, Signal(proc=launched.process.proc, signal=number))

    async def _ends_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._keeper.gone()
        return self._keeper.over

    async def _process_ended(self) -> ExitStatus:
        """How its process ended, maybe before its machine is gone."""
        if self._keeper.launched is not None:
            with suppress(MachineDied):
                return await self._keeper.launched.process.wait()
        return await self.wait()


def _origin(record: Record, spec: ContainerSpec, state: State, transcript: Transcript) -> Origin | None:
    """What a container of that state goes on from; None where it begins anew."""
    if isinstance(state, Suspended):
        from firkin.engine import suspended

        return suspended.origin(record, state, transcript)
    if isinstance(state, Created) and spec.snapshot:
        from firkin.engine.restore import of_snapshot

        return of_snapshot(record.paths, spec)
    return None


def _began(state: State) -> Streams | None:
    """Where in the log what runs, or is to go on, has begun; None where it is yet to begin."""
    if not isinstance(state, Running | Suspended):
        return None
    return Streams(max(0, -state.ahead.stdout), max(0, -state.ahead.stderr))
