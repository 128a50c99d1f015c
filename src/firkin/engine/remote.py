"""RemoteContainer: a container that this process does not own, whoever does, or nobody any more.

What is on disk is read there; what only the owner can do is asked of it through the control socket; a running
container without an owner (its supervisor died) is first given one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from firkin.agent.channel import Channel, Message
from firkin.container import logs
from firkin.container.health import Probe
from firkin.container.log import LogRecord
from firkin.container.record import Created, Exited, Record, Running, State, Suspended
from firkin.container.spec import ContainerSpec
from firkin.container.volume_use import remove_container
from firkin.engine import control_ops as ops
from firkin.engine.container import check_removable, no_health_check
from firkin.engine.options import ExecOptions
from firkin.engine.pod_members import OWN_DISK, SNAPSHOTS, refuse, refuse_in_pods
from firkin.engine.remote_process import Loss, RemoteProcess, join
from firkin.errors import ContainerNotFound, Corrupt, InUse, OutcomeUnknown, Timeout, WrongState
from firkin.linux.unix_socket import connect
from firkin.process.protocol import Process
from firkin.process.spec import ExitStatus
from firkin.wire.messages import ProcessRow, convert
from firkin.wire.usage import Usage

if TYPE_CHECKING:
    from firkin.engine.connection import Connection, Listener
    from firkin.engine.joining import Change
    from firkin.engine.update_words import UpdateOptions
    from firkin.snapshot.record import Snapshot
    from firkin.wire.sockets import Place
    from firkin.wire.trees import Task

T = TypeVar("T")

_CONNECT_DEADLINE_S = 20.0
_RETRY_S = 0.05
_LOOK_EVERY_S = 1.0

Revive = Callable[[], Awaitable[None]]
"""Sees to it that running containers without an owner get one."""


class RemoteContainer:
    """The container of `record`, as engine.container.Container. Raises ContainerNotFound, Corrupt."""

    def __init__(self, record: Record, *, revive: Revive) -> None:
        self.spec: ContainerSpec = record.spec()
        self._record = record
        self._revive = revive

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self._record.id

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def state(self) -> State:
        """As it is on disk now. Raises ContainerNotFound once it is removed."""
        return self._record.state()

    async def attach(self, *, stdin: bool = False, replay: bool = False) -> Process:
        """Its first process, as one more party; with `replay` also of one that has ended, from its log.

        Else raises WrongState where it does not run.
        """
        streams = {"stdin": stdin, "stdout": True, "stderr": True}
        try:
            return await self._join(streams, lambda ids: ops.Attach(replay=replay, **ids))
        except (WrongState, OutcomeUnknown):
            state = self.state
            if not replay or not isinstance(state, Exited):
                raise
            from firkin.engine.logged import logged_process

            return logged_process(self._record, self.name, state)

    async def exec(self, options: ExecOptions) -> Process:
        """Start one more process in it. Raises as agent's spawn() does, and WrongState."""
        outputs, read = options.outputs, not options.detach
        stderr = read and options.terminal is None and outputs.stderr == "pipe"
        streams = {"stdin": options.stdin, "stdout": read and outputs.stdout == "pipe", "stderr": stderr}
        return await self._join(streams, lambda ids: ops.Exec(options=options, **ids))

    def beside(self, record: Record) -> RemoteContainer:
        """The container of another record, such as the pod that this one is in. Raises as the first one."""
        return RemoteContainer(record, revive=self._revive)

    async def work(self, task: Task, member: str = "") -> Process:
        """Pack, unpack or stat files of it, or of that member of a pod; see Container.work()."""
        from firkin.wire.trees import Pack, Unpack

        streams = {"stdin": isinstance(task, Unpack), "stdout": isinstance(task, Pack), "stderr": True}
        return await self._join(streams, lambda ids: ops.Work(task=task, member=member, **ids))

    async def dial(self, place: Place, timeout_s: float | None = None) -> Connection:
        """A connection to a port or a unix socket in it; see Container.dial()."""
        from firkin.engine.remote_connection import dial

        return await self._over(lambda channel: dial(channel, place, timeout_s))

    async def listen(self, place: Place, *, mode: int = 0o600, uid: int = 0, gid: int = 0) -> Listener:
        """Listen in it for this host; see Container.listen()."""
        from firkin.engine.remote_connection import RemoteListener

        return await self._over(
            lambda channel: RemoteListener.listen(channel, place, mode=mode, uid=uid, gid=gid)
        )

    async def stop(self, timeout_s: float | None = None, *, again: bool = False) -> None:
        """Stop it, or whatever is left of it; ended when this returns."""
        while not await self._told(ops.Stop(timeout_s=timeout_s, again=again)) and self._is_due():
            with suppress(InUse, ContainerNotFound), self._record.own():  # else it is just being started
                self._record.call_off()
            await asyncio.sleep(0)

    async def rename(self, name: str) -> None:
        """Give it another name; see Container.rename()."""
        if not await self._told(ops.Rename(name=name)):
            with self._record.own():
                self._record.rename(name)
        self.spec = self._record.spec()

    async def update(self, asked: UpdateOptions) -> None:
        """Change what it may use; see Container.update()."""
        from firkin.engine.updating import updated

        if not await self._told(ops.Update(options=asked)):
            with self._record.own():
                self._record.update(updated(self._record.spec(), self.state, asked))
        self.spec = self._record.spec()

    async def rewire(self, change: Change) -> None:
        """Let it come to a network, or leave one; see Container.rewire()."""
        from firkin.engine.joining import put_on_record

        if isinstance(self.state, Running):
            await self._request(ops.Rewire(change=change))
        else:
            with self._record.own():
                put_on_record(self._record, self._record.spec(), self.state, change)
        self.spec = self._record.spec()

    async def kill(self, signal: int) -> None:
        """Send `signal` to its first process. Raises WrongState where it does not run."""
        await self._request(ops.Kill(signal=signal))

    async def pause(self) -> None:
        """Let it stand still; see Container.pause()."""
        await self._let(ops.Pause(), paused=True)

    async def unpause(self) -> None:
        """Let it go on; see Container.unpause()."""
        await self._let(ops.Unpause(), paused=False)

    async def _let(self, op: ops.Pause | ops.Unpause, *, paused: bool) -> None:
        """Ask for `op`, again where an owner died at it before it was on record."""
        while True:
            try:
                await self._request(op)
                return
            except OutcomeUnknown:
                state = self.state
                if isinstance(state, Running) and state.paused == paused:
                    return

    async def wait(self) -> ExitStatus:
        """How it ended, once nothing of the machine is left. Raises WrongState where it was never started."""
        from firkin.engine.settled import settled

        while True:
            state = self.state
            if isinstance(state, Exited):
                with suppress(ContainerNotFound):
                    await settled(self._record)
                return state.status
            if isinstance(state, Suspended):
                raise self._suspended()
            if isinstance(state, Created) and not self._record.is_owned():
                raise self._never_started()
            try:
                return ops.status_of(await self._request(ops.Wait()))
            except (OutcomeUnknown, WrongState):
                continue  # its owner was lost, or it ended: the disk or the next owner knows

    async def snapshot(self, name: str = "", *, disk_only: bool = False) -> Snapshot:
        """Keep it as it is now; see Container.snapshot()."""
        from firkin.engine.disk_snapshots import take_of_ended
        from firkin.snapshot.record import load

        if isinstance(self.state, Running):
            answer = await self._request(ops.Snapshot(name=name, disk_only=disk_only))
            return load(self._record.paths, convert(answer.get("snapshot"), str))
        refuse(self.spec, SNAPSHOTS)
        return await take_of_ended(self._record, name)

    async def suspend(self) -> None:
        """Save its machine beside its disk, and end it; see Container.suspend()."""
        try:
            await self._request(ops.Suspend())
        except OutcomeUnknown:
            if not isinstance(self.state, Suspended):
                raise

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Snapshot]:
        """A snapshot for others to start from; see Container.lend()."""
        from firkin.snapshot.record import load

        async with await self._connect() as channel:
            answer = await channel.request(ops.to_message(ops.Lend()))
            yield load(self._record.paths, convert(answer.get("snapshot"), str))

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Its disk stands still in the block; see Container.still()."""
        from firkin.engine.stillness import of_ended

        if not isinstance(self.state, Running):
            refuse_in_pods(self.spec, OWN_DISK)
            async with of_ended(self._record):
                yield
            return
        async with await self._connect() as channel:
            await channel.request(ops.to_message(ops.Still()))
            yield
            await channel.request(ops.to_message(ops.GoOn()))

    async def remove(self, *, force: bool = False) -> None:
        """Delete it. Raises WrongState where it runs or is suspended and `force` is not given."""
        if not force:
            check_removable(self.state, self.name)
        layered = has_layers(self._record)
        await self._remove(force=force)
        if layered:
            from firkin.engine.snapshot_use import sweep_layers

            sweep_layers(self._record.paths)

    async def _remove(self, *, force: bool) -> None:
        if await self._told(ops.Remove(force=force)):
            return
        if self._record.is_alive():
            await self._revive()  # its machine outlived whoever was starting it
        remove(self._record)

    async def logs(
        self, *, follow: bool = False, tail: int | None = None, since_ns: int | None = None
    ) -> AsyncIterator[LogRecord]:
        """What its first process wrote; with `follow` until the container has ended."""
        path = self._record.log_path
        if not follow:
            for record in logs.read(path, tail=tail, since_ns=since_ns):
                yield record
            return
        owning = asyncio.create_task(self._keep_owned())
        try:
            async for record in logs.follow(
                path, lambda: not (self._needs_owner() or self._is_due()), tail=tail, since_ns=since_ns
            ):
                yield record
        finally:
            owning.cancel()
            await asyncio.gather(owning, return_exceptions=True)

    async def top(self) -> list[ProcessRow]:
        """Its processes, by ids as in the container. Raises WrongState where it does not run."""
        answer = await self._request(ops.Top())
        rows: list[ProcessRow] = convert(answer.get("processes"), list[ProcessRow])
        return rows

    async def stats(self) -> Usage:
        """What it has used until now; see Container.stats()."""
        return convert(await self._request(ops.Stats()), Usage)

    async def check_health(self) -> Probe:
        """Find out now whether it is healthy; see Container.check_health()."""
        if self.spec.health is None:
            raise no_health_check(self.name)
        return convert(await self._request(ops.Check()), Probe)

    def inspect(self) -> dict[str, Any]:
        """Everything that is known of it, ready for JSON."""
        from firkin.engine.facts import container_facts

        return container_facts(self.spec, self.state, self._record)

    async def _told(self, op: ops.Op) -> bool:
        """Whether an owner did `op`, which may be asked twice; False where there is no need for one."""
        while self._needs_owner():
            try:
                await self._request(op)
                return True
            except (OutcomeUnknown, ContainerNotFound):
                continue  # it has a new owner, or is gone: the disk knows
            except WrongState as refusal:
                await self._settled(refusal)
        return False

    def _needs_owner(self) -> bool:
        """Whether there is something that only an owner can end; False once it is removed."""
        try:
            state = self.state
        except ContainerNotFound:
            return False
        return isinstance(state, Running) or self._record.is_owned()

    def _is_due(self) -> bool:
        """Whether it is to be started again by itself."""
        with suppress(ContainerNotFound):
            state = self.state
            return isinstance(state, Exited) and state.again_ns is not None
        return False

    async def _settled(self, refusal: WrongState) -> None:
        """Wait until the owner of one that has ended lets go of it. Raises `refusal` where it runs."""
        from firkin.engine.settled import settled

        with suppress(ContainerNotFound):
            if isinstance(self.state, Running):
                raise refusal
            await settled(self._record)

    async def _keep_owned(self) -> None:
        """See to it that its output is written down while it runs, whoever dies."""
        while self._needs_owner() or self._is_due():
            if not self._record.is_owned():
                await self._revive()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _request(self, op: ops.Op) -> Message:
        async with await self._connect() as channel:
            return await channel.request(ops.to_message(op))

    async def _join(self, wanted: dict[str, bool], op: Callable[[dict[str, int]], ops.Op]) -> RemoteProcess:
        return await self._over(lambda channel: join(channel, wanted, op))

    async def _over(self, begin: Callable[[Channel], Awaitable[T]]) -> T:
        """What `begin` makes of a connection to its owner, which is that's from then on."""
        channel = await self._connect()
        try:
            return await begin(channel)
        except BaseException:
            channel.connection.abort()
            raise

    async def _connect(self) -> Channel:
        """A connection to its owner, who is given a moment to appear.

        Raises WrongState where it does not run, Timeout.
        """
        end = time.monotonic() + _CONNECT_DEADLINE_S
        while time.monotonic() < end:
            self._require_running()
            try:
                sock = connect(self._record.paths.control_socket_path(self.id))
            except OSError:  # nobody listens: its owner is about to, or is dead
                if not self._record.is_owned():
                    await self._revive()
                await asyncio.sleep(_RETRY_S)
                continue
            loss = Loss(self.name)
            peer = f"the owner of container {self.name!r}"
            return await Channel.open(sock, peer, lost=loss, on_event=loss.on_event)
        self._require_running()
        raise Timeout(
            f"the owner of container {self.name!r} did not answer within {_CONNECT_DEADLINE_S:g} s",
            hint="look at supervisor.log in the run directory",
        )

    def _require_running(self) -> None:
        state = self.state
        if isinstance(state, Exited):
            raise WrongState(
                f"container {self.name!r} is not running: {state.status}",
                hint=f"`firkin start {self.name}` starts it again",
            )
        if isinstance(state, Suspended):
            raise self._suspended()
        if isinstance(state, Created) and not self._record.is_owned():
            raise self._never_started()

    def _suspended(self) -> WrongState:
        return WrongState(f"container {self.name!r} is suspended", hint=f"`firkin resume {self.name}`")

    def _never_started(self) -> WrongState:
        return WrongState(f"container {self.name!r} was never started", hint=f"`firkin start {self.name}`")


def has_layers(record: Record) -> bool:
    """Whether its disk stands on layers, or might."""
    try:
        return bool(record.disk().layers)
    except Corrupt:
        return True
    except ContainerNotFound:
        return False


def remove(record: Record) -> None:
    """Delete a container that nobody owns and that does not run, readable or not. Raises InUse."""
    with record.own(), record.hold_alive():
        remove_container(record)
