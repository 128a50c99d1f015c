"""The supervisor: owns detached containers, and answers on run/supervisor.sock.

    run {container, settings}   own the container that is on record; answered once it runs; may be asked again
        {..., again}            the same of one that ended or was suspended at that time, in nanoseconds
    ping                        answered once everything that a dead supervisor left is owned
    shutdown                    stop all containers, then leave

What is to be started again by its record (engine.restarting) is started when that is due.

The rule: it holds nothing that is not on disk too, so it needs no orderly end. It leaves by itself when it
has owned nothing and heard nobody for IDLE_S.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import msgspec

from firkin.agent.channel import Channel, Message
from firkin.aio.thread import in_thread
from firkin.container.locks import Lock
from firkin.container.pod import Member, Sandbox
from firkin.container.record import Created, Exited, Record, Running, State, Suspended
from firkin.container.restart import FIRST_DELAY_S, LONGEST_DELAY_S, UNTRIED, Tries
from firkin.container.spec import ContainerSpec
from firkin.engine.owner import OwnedContainer
from firkin.engine.pod_owner import OwnedPod
from firkin.engine.restarting import failed
from firkin.engine.tidy import tidy_all
from firkin.engine.tie import is_tied, remove_once_free
from firkin.errors import FirkinError, InUse, OutcomeUnknown, ProtocolError, StorageFull, WrongState
from firkin.events import Event, event, subscribed
from firkin.settings import Settings
from firkin.supervisor.adoption import Orphan, end_half_started, orphans, to_start, write_down
from firkin.supervisor.door import Door
from firkin.wire.messages import convert

IDLE_S = 10.0
MAX_CLIENTS = 256
_FULL_DISK_S = 1.0
"""How long a container waits that could be started again no more than that could be written down."""


class RunRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`run`. The settings are the client's: its kernel, its QEMU, its deadlines."""

    container: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    settings: Settings
    again: int | None = None


class Supervisor:
    """Serves the directories of `settings`, whose supervisor.lock is held."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._paths = settings.paths
        self._owned: dict[str, OwnedContainer] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._clients: set[Channel] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._stopping = self._leaving = False

    async def serve(self, ready: Callable[[], None], handed: socket.socket | None = None) -> None:
        """Serve until there is nothing left to do. `ready` is called once clients may connect; `handed` is
        the socket that systemd made.
        """
        door = Door(self._paths.supervisor_socket_path, handed)
        with subscribed(_log):
            event("supervisor.started", data=str(self._paths.data))
            self._start(self._take_over())
            accepting = [asyncio.create_task(self._accept(listener)) for listener in door.listeners]
            ready()
            await self._until_idle()
            event("supervisor.left")
            door.leave()
            for task in accepting:
                task.cancel()
            await asyncio.gather(*accepting, return_exceptions=True)
            door.close()
            for client in tuple(self._clients):
                await client.close()

    async def _until_idle(self) -> None:
        while not self._leaving:
            self._changed.clear()
            if self._tasks:
                await self._changed.wait()
                continue
            try:
                await asyncio.wait_for(self._changed.wait(), IDLE_S)
            except TimeoutError:
                return

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            client, _ = await asyncio.get_running_loop().sock_accept(listener)
            if len(self._clients) >= MAX_CLIENTS:
                client.close()
                continue
            self._start(self._attend(client))

    async def _attend(self, client: socket.socket) -> None:
        async with Channel("a client of the supervisor", lost=OutcomeUnknown, serve=self._answer) as channel:
            self._clients.add(channel)
            await channel.take(client)
            await channel.gone.wait()
        self._clients.discard(channel)

    async def _answer(self, message: Message) -> Message:
        match message.pop("op"):
            case "run":
                await self._run(convert(message, RunRequest))
            case "ping":
                await self._settled.wait()
            case "shutdown":
                await self._stop_all()
                self._leaving = True
                asyncio.get_running_loop().call_soon(self._changed.set)
            case _:
                raise ProtocolError("not a request of the supervisor")
        return {}

    async def _run(self, request: RunRequest) -> None:
        """Own the container of the request, whatever was done for it before."""
        await self._settled.wait()  # it may be one that a dead supervisor left
        turn = self._turns.setdefault(request.container, asyncio.Lock())
        async with turn:
            if request.again is not None:
                await self._forget_ended(request.container)
            if request.container not in self._owned:
                record = Record(self._paths, request.container)
                try:
                    await self._own(record, request)
                except FirkinError:
                    with suppress(FirkinError), record.own():
                        record.call_off()
                    raise
        self._turns.pop(request.container, None)

    async def _stop_all(self) -> None:
        """Stop what is owned; what outlives us by its policy goes on with the next supervisor."""
        self._stopping = True
        owned = self._owned.values()
        await asyncio.gather(*(each.stop(again=each.spec.restart.outlives) for each in owned))

    async def _forget_ended(self, container_id: str) -> None:
        """Let go of one that has ended, once whoever asked for it knows."""
        owned = self._owned.get(container_id)
        if owned is not None and isinstance(owned.state, Exited | Suspended):
            await owned.finished()
            self._owned.pop(container_id, None)

    async def _own(self, record: Record, request: RunRequest) -> None:
        spec = record.spec()
        if not spec.detached and request.again is None:
            raise WrongState(f"container {spec.name!r} is not one for the supervisor")
        await self._start_or_adopt(record, record.own(), request)

    async def _start_or_adopt(self, record: Record, lock: Lock, request: RunRequest | None) -> None:
        """Own what `lock` is of, as its state asks for; without a request nothing is started."""
        try:
            spec = record.spec()
            if isinstance(spec.pod, Member):
                await self._start_member(record, spec.pod, lock, request)
                return
            await end_half_started(record)
            state = record.state()
            if request is not None and _is_to_start(state, request.again):
                container = _created(record, spec, lock, request.settings)
            elif isinstance(state, Running) and isinstance(spec.pod, Sandbox):
                await self._adopt_pod(OwnedPod.adopt_pod(record, lock, state, settings=self._settings))
                return
            elif isinstance(state, Running):
                container = OwnedContainer.adopt(record, lock, state, settings=self._settings)
            elif record.is_alive():
                self._start(self._let_go(record, lock))
                return
            else:
                lock.close()  # it has ended, or its client is about to ask again
                return
        except BaseException:
            lock.close()
            raise
        await self._keep(container)

    async def _start_member(
        self, record: Record, member: Member, lock: Lock, request: RunRequest | None
    ) -> None:
        """Start a container in its pod, which is started where it does not run."""
        state = record.state()
        if request is None or not _is_to_start(state, request.again):
            lock.close()
            return
        await self._start_in_pod(record, member, lock, request.settings, state)

    async def _start_in_pod(
        self,
        record: Record,
        member: Member,
        lock: Lock,
        settings: Settings,
        state: State,
        tries: Tries = UNTRIED,
    ) -> None:
        pod_state = Record(self._paths, member.pod).state()
        again = pod_state.finished_ns if isinstance(pod_state, Exited) else None
        await self._run(RunRequest(container=member.pod, settings=settings, again=again))
        pod = self._owned.get(member.pod)
        if not isinstance(pod, OwnedPod):
            raise WrongState(f"pod {member.pod[:12]} has ended", hint="try again")
        await self._keep(pod.member(record, lock, state, tries=tries))
        pod.settled()

    async def _adopt_pod(self, pod: OwnedPod) -> None:
        """Take over a pod that runs, and its containers."""
        await self._keep(pod)
        for member in await pod.rejoin():
            self._have(member)

    async def _let_go(self, record: Record, lock: Lock) -> None:
        """Let go of one that has ended, once its machine has."""
        async with self._turns.setdefault(record.id, asyncio.Lock()):
            with lock:
                await write_down(record)

    async def _keep(self, container: OwnedContainer) -> None:
        """Start or take over `container`, and own it until its end."""
        await container.start()
        self._have(container)

    def _have(self, container: OwnedContainer) -> None:
        """Own `container`, which runs, until its end."""
        self._owned[container.id] = container
        if is_tied(container.spec):
            from firkin.engine.engine import Engine

            record = Record(self._paths, container.id)
            self._start(remove_once_free(record, Engine(self._settings).discard))
        self._start(self._until_finished(container))
        event("container.owned", container=container.id, name=container.name)

    async def _until_finished(self, container: OwnedContainer) -> None:
        await container.finished()
        if self._owned.get(container.id) is container:
            del self._owned[container.id]
        await self._start_again(Record(self._paths, container.id), container.settings)

    async def _start_again(self, record: Record, settings: Settings) -> None:
        """Start it when that is due, as often as it takes, unless somebody did so or called it off before."""
        with suppress(FirkinError):  # it is gone, or cannot be read, which whoever lists it sees
            while isinstance(ended := record.state(), Exited) and ended.again_ns is not None:
                wait_s = min(max(0.0, (ended.again_ns - time.time_ns()) / 1e9), LONGEST_DELAY_S)
                event("container.restarting", container=record.id, count=ended.tries.count, wait_s=wait_s)
                await asyncio.sleep(wait_s)
                if self._stopping:
                    return
                async with self._turns.setdefault(record.id, asyncio.Lock()):
                    await self._try_again(record, settings, ended)

    async def _try_again(self, record: Record, settings: Settings, ended: Exited) -> None:
        """Start it as its record says; where that fails, that says when to try once more, or never."""
        try:
            lock = record.own()
        except InUse:
            await asyncio.sleep(FIRST_DELAY_S)  # somebody is at it, for a moment or to start it
            return
        try:
            if record.state() != ended:
                lock.close()
                return
            if isinstance(place := record.spec().pod, Member):
                await self._start_in_pod(record, place, lock, settings, ended, ended.tries)
                return
            await end_half_started(record)
            container = OwnedContainer.create(
                record, lock, settings=settings, lifetime="detached", tries=ended.tries
            )
            await self._keep(container)
        except FirkinError as error:
            lock.close()
            event("container.unstarted", container=record.id, error=error)
            try:
                with record.own():
                    record.set_again(failed(record.spec(), ended, error))
            except StorageFull:
                await asyncio.sleep(_FULL_DISK_S)
        except BaseException:
            lock.close()
            raise

    async def _take_over(self) -> None:
        """Own what a dead supervisor left."""
        found = await in_thread(lambda: list(orphans(self._paths)))
        await asyncio.gather(*map(self._adopt, found))
        self._settled.set()
        await in_thread(partial(tidy_all, self._paths))
        for record in await in_thread(lambda: list(to_start(self._paths))):
            self._start(self._start_again(record, self._settings))

    async def _adopt(self, orphan: Orphan) -> None:
        try:
            await self._start_or_adopt(orphan.record, orphan.lock, None)
        except FirkinError as error:  # its record says so; the others are taken over all the same
            event("container.unadopted", container=orphan.record.id, error=error)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        self._changed.set()  # whoever waits for the idle time to pass must look again

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()


def _created(record: Record, spec: ContainerSpec, lock: Lock, settings: Settings) -> OwnedContainer:
    """The container, or the pod, that is to be started."""
    if isinstance(spec.pod, Sandbox):
        return OwnedPod.begin(record, lock, settings=settings)
    return OwnedContainer.create(record, lock, settings=settings, lifetime="detached")


def _is_to_start(state: State, again: int | None) -> bool:
    """Whether what is in `state` is still to be started: a request that is made again asks for one start."""
    if isinstance(state, Exited):
        return state.finished_ns == again
    if isinstance(state, Suspended):
        return state.suspended_ns == again
    return isinstance(state, Created)


def _log(happening: Event) -> None:
    """Events of containers, one line each, to supervisor.log."""
    if happening.phase == "point" and happening.name.startswith(("container.", "supervisor.", "machine.")):
        fields = " ".join(f"{name}={value}" for name, value in happening.fields.items())
        stamp = datetime.now().astimezone().isoformat(timespec="milliseconds")
        print(stamp, happening.name, fields, file=sys.stderr, flush=True)
