"""Pods: made, started, stopped and removed, and containers put into them. What an Engine does of them.

    create ──► a record without a machine (ready) ──► start ──► supervisor ──► machine ──► members, in order
    a member's own start starts its pod; its end leaves it; the pod's end ends all

The rule: a pod is removed after its members, so a crash leaves a pod with fewer of them and never one without
a pod.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol, TypeVar

from firkin.aio.finish import finish
from firkin.container import names
from firkin.container.locks import Lock
from firkin.container.pod import Member
from firkin.container.record import Record, Running
from firkin.engine import pod_members, pod_rules
from firkin.engine.begin import put_on_record
from firkin.engine.options import PullPolicy, RunOptions
from firkin.engine.pod_members import Pod
from firkin.errors import ContainerNotFound, MachineDied, PodNotFound, ProcessError, WrongState
from firkin.oci.digest import Digest
from firkin.oci.image import Image
from firkin.oci.image_config import ImageConfig
from firkin.oci.platform import Platform
from firkin.paths import Paths
from firkin.rootfs.cache import Rootfs
from firkin.settings import Settings
from firkin.store.store import Store

if TYPE_CHECKING:
    from firkin.engine.container import Container
    from firkin.engine.remote import RemoteContainer
    from firkin.wire.messages import ProcessRow
    from firkin.wire.usage import Usage

T = TypeVar("T")
_NO_IMAGE = Digest.of(b"")


class RunsContainers(Protocol):
    """What pods need of an Engine."""

    settings: Settings
    paths: Paths

    @property
    def store(self) -> Store: ...
    async def pull(self, reference: str, *, platform: str, policy: PullPolicy) -> Image: ...
    async def container(self, name_or_id: str) -> Container: ...
    async def start(self, name_or_id: str) -> Container: ...
    async def start_of(self, container: Container) -> None: ...
    async def revive(self) -> None: ...


class Pods:
    """The pods of an Engine. They belong to the supervisor."""

    def __init__(self, engine: RunsContainers) -> None:
        self._engine = engine
        self._paths = engine.paths
        self._ties: dict[str, Lock] = {}

    def find(self, text: str) -> Pod:
        """The pod of that name, id or beginning of an id. Raises PodNotFound, UsageError."""
        return pod_members.find(self._paths, text)

    async def create(self, options: RunOptions) -> Pod:
        """A pod that nothing runs in yet. Raises UsageError, NameInUse, HostUnsupported, StorageFull."""
        pod_rules.check_pod(options)
        names.check_wanted(options.name, self._paths)
        rootfs = Rootfs("", self._paths.rootfs_dir, 0)
        record, lock = put_on_record(
            options, _nothing(), rootfs, self._engine.settings, detached=True, kept=True
        )
        lock.close()
        return self.find(record.id)

    @asynccontextmanager
    async def tied(self, options: RunOptions) -> AsyncIterator[Pod]:
        """A pod that goes with the block, or with this process. Raises as create()."""
        from firkin.engine.tie import tie

        pod = await self.create(options)
        with tie(pod.record):
            try:
                yield pod
            finally:
                with suppress(PodNotFound):
                    await finish(self.remove(pod.record.id, force=True))

    async def put(self, options: RunOptions, *, kept: bool) -> tuple[Record, Lock]:
        """The record of a new member, owned by us. Raises as Engine.create(), PodNotFound, WrongState."""
        assert isinstance(options.pod, Member)
        pod = self.find(options.pod.pod)
        inside = pod_rules.joined(options, pod)
        pod_rules.check_ports(inside, pod)
        names.check_wanted(inside.name, self._paths)
        with self._engine.store.adding():
            image = await self._engine.pull(inside.image, platform=inside.platform, policy=inside.pull)
            pod_rules.check_fits(sum(layer.size_bytes for layer in image.layers), inside.image, pod)
            rootfs = Rootfs("", self._paths.rootfs_dir, 0)
            with pod.joining():
                pod_rules.check_ports(inside, pod)  # another one may have joined meanwhile
                return put_on_record(inside, image, rootfs, self._engine.settings, detached=True, kept=kept)

    async def start(self, text: str) -> Pod:
        """Start a pod, and its containers that do not run, in the order in which they were made; the initial
        ones before, each to its end.

        Raises what starting one of them raises, ProcessError where an initial one fails; what runs goes on.
        """
        pod = self.find(text)
        members = pod.members()
        initial = [record for record, spec in members if isinstance(spec.pod, Member) and spec.pod.initial]
        others = [record for record, _ in members if record not in initial]
        await self._engine.start_of(self._container(pod))
        if not any(isinstance(record.state(), Running) for record in others):
            for record in initial:
                await self._to_its_end(record, pod)
        for record in others:
            with suppress(ContainerNotFound):
                await self._engine.start(record.id)
        return pod

    async def _to_its_end(self, record: Record, pod: Pod) -> None:
        """Start an initial container, and wait until it has ended well. Raises ProcessError."""
        container = await self._engine.start(record.id)
        status = await container.wait()
        if not status.ok:
            raise ProcessError(
                f"init container {container.name!r} of pod {pod.name!r} failed: {status}",
                hint=f"see `firkin logs {container.name}`, and try again: `firkin pod start {pod.name}`",
            )

    async def stop(self, text: str, timeout_s: float | None = None) -> Pod:
        """Stop its containers, each by its own ladder, then its machine. Legal in every state."""
        pod = self.find(text)
        await self._container(pod).stop(timeout_s)
        return pod

    async def restart(self, text: str, timeout_s: float | None = None) -> Pod:
        """stop(), then start()."""
        pod = await self.stop(text, timeout_s)
        return await self.start(pod.record.id)

    async def kill(self, text: str, number: int) -> Pod:
        """Send a signal to the first process of each of its containers that runs. Raises WrongState where it
        does not run.
        """
        pod = self._running(text)
        for container in await self._at_work(pod):
            with suppress(ContainerNotFound):
                await container.kill(number)
        return pod

    async def stats(self, text: str) -> dict[str, Usage]:
        """What each of its running containers has used, by their names. Raises WrongState where it does not
        run, or stands still.
        """
        return await self._of_each(text, lambda container: container.stats())

    async def top(self, text: str) -> dict[str, list[ProcessRow]]:
        """The processes of each of its running containers, by their names. Raises as stats()."""
        return await self._of_each(text, lambda container: container.top())

    async def _of_each(self, text: str, ask: Callable[[Container], Awaitable[T]]) -> dict[str, T]:
        pod, found = self._running(text), {}
        for container in await self._at_work(pod):
            try:
                found[container.name] = await ask(container)
            except (ContainerNotFound, WrongState, MachineDied):
                if isinstance(container.state, Running):
                    raise  # it stands still; else it has ended meanwhile
        return found

    def _running(self, text: str) -> Pod:
        pod = self.find(text)
        if not isinstance(pod.record.state(), Running):
            raise WrongState(f"pod {pod.name!r} is not running", hint=f"`firkin pod start {pod.name}`")
        return pod

    async def _at_work(self, pod: Pod) -> list[Container]:
        """Its containers that run."""
        found = []
        for record, _ in pod.members():
            with suppress(ContainerNotFound):
                container = await self._engine.container(record.id)
                if isinstance(container.state, Running):
                    found.append(container)
        return found

    async def pause(self, text: str) -> Pod:
        """Let it stand still with its containers. Raises WrongState where it does not run, or does so."""
        pod = self.find(text)
        await self._container(pod).pause()
        return pod

    async def unpause(self, text: str) -> Pod:
        """Let it go on, with the time as it is now. Raises WrongState where it is not paused."""
        pod = self.find(text)
        await self._container(pod).unpause()
        return pod

    async def remove(self, text: str, *, force: bool = False) -> Pod:
        """Delete it with its containers. Raises WrongState where it runs and `force` is not given."""
        pod = self.find(text)
        if isinstance(pod.record.state(), Running) and not force:
            raise WrongState(
                f"pod {pod.name!r} is running", hint=f"`firkin pod rm -f {pod.name}`, or stop it first"
            )
        with suppress(PodNotFound, ContainerNotFound):
            pod.close()
            if force:
                await self._container(pod).stop(0)
            for record, _ in pod.members():
                with suppress(ContainerNotFound):
                    await (await self._engine.container(record.id)).remove(force=force)
            await self._container(pod).remove(force=force)
        return pod

    def _container(self, pod: Pod) -> RemoteContainer:
        """The pod as the container that it is on record as."""
        from firkin.engine.remote import RemoteContainer

        return RemoteContainer(pod.record, revive=self._engine.revive)


def _nothing() -> Image:
    """The image of a pod."""
    config = ImageConfig(platform=Platform.host(), diff_ids=())
    return Image(_NO_IMAGE, _NO_IMAGE, config, (), 0)
