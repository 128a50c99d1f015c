"""OwnedPod: a pod whose machine this process keeps, with the containers in it.

    run member ──► OwnedPod.member() ──► its layers, its root, its process, in the machine that runs
    stop pod   ──► each member's own ladder, at once ──► the machine writes down what they wrote, and ends

The rule: a member is an OwnedContainer like any other, that shares machine and connection with its pod; its
end is its own, and the pod's end is everybody's.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from firkin.container.locks import Lock
from firkin.container.pod import Member, Sandbox
from firkin.container.record import Exited, Record, Running, State
from firkin.container.restart import UNTRIED, Tries
from firkin.container.spec import ContainerSpec
from firkin.engine import pod_launch, pod_members, pod_store
from firkin.engine import pod_places as places
from firkin.engine.keeper import Opening
from firkin.engine.owner import OwnedContainer
from firkin.engine.pod_asleep import Sleepers
from firkin.engine.pod_layers import PodLayers
from firkin.engine.pod_members import refuse
from firkin.engine.transcript import Transcript
from firkin.errors import FirkinError, InUse, WrongState
from firkin.events import event
from firkin.oci.image import Image, chain_id
from firkin.settings import Settings
from firkin.store.store import Store
from firkin.wire.messages import Remove, Sweep

if TYPE_CHECKING:
    from firkin.engine.launch import Launched
    from firkin.process.protocol import Process
    from firkin.wire.trees import Task

PAUSE_ENDS_S = 5.0
MAX_MEMBERS = 60
"""An agent keeps 64 containers."""


class OwnedMember(OwnedContainer):
    """A container in a pod of this process: what is done to its machine is done to the pod."""

    async def pause(self) -> None:
        """Refused. Raises WrongState."""
        refuse(self.spec, "only all of it can be paused: `firkin pod pause`")

    async def unpause(self) -> None:
        """Refused. Raises WrongState."""
        refuse(self.spec, "only all of it can go on: `firkin pod unpause`")

    async def rest(self) -> None:
        """Refused. Raises WrongState."""
        refuse(self.spec, "only all of it can stand still")

    async def stop(self, timeout_s: float | None = None, *, again: bool = False) -> None:
        """As every container is stopped. Raises WrongState while the pod is paused."""
        self._check_going()
        await super().stop(timeout_s, again=again)

    async def kill(self, number: int) -> None:
        """As every container is sent a signal. Raises WrongState while the pod is paused."""
        self._check_going()
        await super().kill(number)

    async def remove(self, *, force: bool = False) -> None:
        """As every container is removed. Raises WrongState while the pod is paused."""
        self._check_going()
        await super().remove(force=force)

    def note_paused(self, paused: bool) -> None:
        """Its pod stands still, or goes on: that is on record of it, too."""
        if isinstance(self.state, Running) and self.state.paused != paused:
            with suppress(FirkinError):  # the pod's own record counts
                self._keeper.note_paused(paused)

    def _placed(self, task: Task) -> tuple[Task, str]:
        return places.placed(task, self.id)

    def _check_going(self) -> None:
        if self._keeper.paused:
            refuse(self.spec, "that is paused: `firkin pod unpause`")


class OwnedPod(OwnedContainer):
    """A pod of this process. Made by begin() or adopt_pod(); start() starts or takes over its machine."""

    _layers: PodLayers | None = None
    _members: dict[str, OwnedMember]
    _sandbox: Sandbox

    @classmethod
    def begin(cls, record: Record, lock: Lock, *, settings: Settings) -> OwnedPod:
        """A pod that start() will start: that of `record`, which this process owns by `lock`."""

        def opening(spec: ContainerSpec, transcript: Transcript) -> Opening:
            bury_members(record)
            return partial(
                pod_launch.launch_pod,
                record,
                spec,
                sandbox_of(spec),
                [member for _, member in pod_members.members(record.paths, record.id)],
                settings=settings,
            )

        state = record.state()
        if isinstance(state, Exited):
            record.begin_again(state)
        return cls(record, lock, opening, state, settings, detached=True)._made()

    @classmethod
    def adopt_pod(cls, record: Record, lock: Lock, state: Running, *, settings: Settings) -> OwnedPod:
        """A running pod that start() will take over from a dead owner; rejoin() takes over its members."""

        def opening(spec: ContainerSpec, transcript: Transcript) -> Opening:
            return partial(pod_launch.resume_pod, record, spec, state)

        return cls(record, lock, opening, state, settings, detached=True)._made()

    def _made(self) -> OwnedPod:
        self._members = {}
        self._sandbox = sandbox_of(self.spec)
        return self

    async def start(self) -> None:
        """Start it, without its members."""
        await super().start()
        record, launched = self._keeper.record, self._keeper.machine()
        self._store = Store(record.paths)
        self._layers = PodLayers(record, launched.client, self._store, self._layers_there(record))
        self._sleepers = Sleepers(launched, self._layers, self._sandbox, self._keeper.chores)

    def member(self, record: Record, lock: Lock, state: State, *, tries: Tries = UNTRIED) -> OwnedMember:
        """A member that its start() will start, after `tries`; from here on the lock is the container's.

        Raises WrongState where the pod does not run, or has too many members, Corrupt.
        """
        pod, layers = self._room()
        spec = record.spec()
        image = pod_members.image_of(self._store, spec)
        if isinstance(state, Exited):
            record.begin_again(state)

        def opening(spec: ContainerSpec, _: Transcript) -> Opening:
            return partial(
                pod_launch.join, pod, layers, self._sandbox, image, record, spec, settings=self._settings
            )

        pod.client.post(places.members_op(spec.id for _, spec in self._listed()))
        made = OwnedMember(record, lock, opening, state, self._settings, detached=True, tries=tries)
        return self._with(made)

    async def work(self, task: Task, member: str = "") -> Process:
        """Pack, unpack or stat files of a member that does not run, of that id. Raises WrongState."""
        self._keeper.running()
        record = Record(self._keeper.record.paths, member)
        spec = record.spec()
        if not isinstance(spec.pod, Member) or spec.pod.pod != self.id:
            raise WrongState(f"container {spec.name!r} is not in pod {self.name!r}")
        return await self._sleepers.work(record, spec, pod_members.image_of(self._store, spec), task)

    async def rejoin(self) -> list[OwnedMember]:
        """Take over the members that a dead owner left running; each is started, or has ended."""
        pod = self._keeper.machine()
        found = []
        for record, _ in self._listed():
            try:
                lock = record.own()
            except InUse:
                continue
            state = record.state()
            if not isinstance(state, Running):
                lock.close()
                continue
            found.append(self._with(self._rejoining(pod, record, lock, state)))
        await asyncio.gather(*map(_start_or_tell, found))
        self._turn_out(pod)
        self._note_paused()
        return [each for each in found if not each.done]

    def settled(self) -> None:
        """A member was started: what it needed is put on record while it runs."""
        if self._layers is not None:
            self._layers.settle(self._keeper.chores)

    async def pause(self) -> None:
        """Let it stand still with its members, and put that on record."""
        await super().pause()
        self._note_paused()

    async def unpause(self) -> None:
        """Let it go on."""
        await super().unpause()
        self._note_paused()

    def _note_paused(self) -> None:
        for member in self._living():
            member.note_paused(self._keeper.paused)

    async def stop(self, timeout_s: float | None = None, *, again: bool = False) -> None:
        """Stop its members, each as it is stopped by itself; then its machine."""
        if self._keeper.paused:
            await self.unpause()
        await asyncio.gather(*(each.stop(timeout_s) for each in self._living()))
        await super().stop(PAUSE_ENDS_S, again=again)

    async def close(self, *, remove: bool = False) -> None:
        """End everything at once."""
        await asyncio.gather(*(each.close() for each in self._living()))
        await super().close(remove=remove)

    def _rejoining(self, pod: Launched, record: Record, lock: Lock, state: Running) -> OwnedMember:
        def opening(spec: ContainerSpec, transcript: Transcript) -> Opening:
            return partial(pod_launch.rejoin, pod, record, spec, state, transcript)

        return OwnedMember(record, lock, opening, state, self._settings, detached=True)

    def _room(self) -> tuple[Launched, PodLayers]:
        launched = self._keeper.running()
        assert self._layers is not None
        if len(self._living()) >= MAX_MEMBERS:
            raise WrongState(
                f"pod {self.name!r} has {MAX_MEMBERS} containers, which is the most", hint="use one more pod"
            )
        return launched, self._layers

    def _with(self, member: OwnedMember) -> OwnedMember:
        self._members = {each.id: each for each in (*self._living(), member)}
        return member

    def _living(self) -> list[OwnedMember]:
        return [each for each in self._members.values() if not each.done]

    def _listed(self) -> list[tuple[Record, ContainerSpec]]:
        return pod_members.members(self._keeper.record.paths, self.id)

    def _layers_there(self, record: Record) -> set[str]:
        """Those that are on the disk for sure, and those that somebody runs on."""
        known = set(pod_store.kept_layers(record))
        for member, spec in self._listed():
            if isinstance(member.state(), Running):
                with suppress(FirkinError):
                    known |= names_of(pod_members.image_of(self._store, spec))
        return known

    def _turn_out(self, pod: Launched) -> None:
        """End what an owner that died had half started, and what nobody asks for any more."""
        assert self._layers is not None
        ours = {self.id, *(each.id for each in self._living())}
        kept = {pod.process.proc}
        for process in tuple(pod.client.processes.values()):
            if process.container not in ours:
                pod.client.post(Remove(container=process.container))
            if process.proc not in kept and not self._is_first(process.proc):
                process.abandon()
        pod.client.post(Sweep(target=places.LAYERS, keep=tuple(self._layers.known)))

    def _is_first(self, proc: int) -> bool:
        return any(isinstance(each.state, Running) and each.state.proc == proc for each in self._living())


def sandbox_of(spec: ContainerSpec) -> Sandbox:
    """What `spec`, of a pod, says of it."""
    assert isinstance(spec.pod, Sandbox)
    return spec.pod


def bury_members(record: Record) -> None:
    """Put the ends on record that the members of a pod have had with its machine. The pod's owner's."""
    for member, _ in pod_members.members(record.paths, record.id):
        with suppress(FirkinError), member.own():
            state = member.state()
            if isinstance(state, Exited):
                member.set_exited(state)


def names_of(image: Image) -> set[str]:
    """The names of the layers of `image` in a store."""
    diff_ids = [layer.diff_id for layer in image.layers]
    return {places.layer_name(chain_id(diff_ids[:number])) for number in range(1, len(diff_ids) + 1)}


async def _start_or_tell(member: OwnedMember) -> None:
    try:
        await member.start()
    except FirkinError as error:  # that was its end, which is on record
        event("container.unadopted", container=member.id, error=error)
