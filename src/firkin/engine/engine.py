"""Engine: images and containers of one user. The only place where the stages meet.

RunOptions ──rules──► pull ──► rootfs ──resolve──► record ──► OwnedContainer ──► machine, process
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from firkin.aio.finish import finish
from firkin.aio.thread import in_thread
from firkin.container import names
from firkin.container.locks import Lock
from firkin.container.pod import Member, Sandbox
from firkin.container.record import Exited, Record, Running, Suspended
from firkin.engine.container import Container
from firkin.engine.heirs import Heirs
from firkin.engine.options import PullPolicy, RunOptions
from firkin.engine.pod_members import as_container
from firkin.errors import ContainerNotFound, UsageError, WrongState
from firkin.events import span
from firkin.settings import Settings

if TYPE_CHECKING:
    from firkin.engine.begin import Begun
    from firkin.engine.image_push import Pushed
    from firkin.engine.images import Images, ImageSummary
    from firkin.engine.owner import OwnedContainer
    from firkin.engine.pods import Pods
    from firkin.engine.summaries import ContainerSummary
    from firkin.engine.waiting import Condition
    from firkin.machine.namespace.launch import StartedNamespace
    from firkin.machine.started import Started
    from firkin.oci.image import Image
    from firkin.process.relay import Relays
    from firkin.process.spec import ExitStatus
    from firkin.rootfs.cache import Rootfs
    from firkin.snapshot.record import Snapshot
    from firkin.store.store import Store
    from firkin.trust.key import PrivateKey


class Engine(Heirs):
    """An async context manager: leaving it ends the containers that run() started.

    Making one reads nothing but the user's settings, where none are given. Raises UsageError for a setting
    that cannot be read.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = Settings.load() if settings is None else settings
        self.paths = self.settings.paths
        self._owned: dict[str, OwnedContainer] = {}
        self._tidying: set[asyncio.Task[None]] = set()
        self._entered = False
        self._relays: set[Relays] = set()

    async def __aenter__(self) -> Engine:
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered = False
        owned, self._owned = tuple(self._owned.values()), {}
        await asyncio.gather(*(container.close() for container in owned))
        await asyncio.gather(*(container.finished() for container in owned))
        await asyncio.gather(*self._tidying, return_exceptions=True)
        await asyncio.gather(*(relays.end() for relays in self._relays))

    def keep(self, relays: Relays) -> None:
        """See to it that nothing is copied any more when this engine is left."""
        self._relays = {each for each in self._relays if not each.over} | {relays}

    # Images

    async def pull(self, reference: str, *, platform: str = "", policy: PullPolicy = "always") -> Image:
        """The image of that name, from its registry unless `policy` lets a local one do; see Images.pull."""
        return await self._images.pull(reference, platform=platform, policy=policy)

    async def push(
        self, name: str, destination: str = "", *, platform: str = "", key: PrivateKey | None = None
    ) -> Pushed:
        """Send a local image or a snapshot to a registry; see engine.snapshot_moves.push()."""
        from firkin.engine.snapshot_moves import push

        return await push(self.settings, name, destination, platform=platform, key=key)

    def images(self) -> list[ImageSummary]:
        """Every local image."""
        return self._images.summaries()

    def image(self, reference: str) -> Image:
        """The local image of that name or id. Raises ImageNotFound."""
        return self._images.find(reference)

    def tag(self, source: str, target: str) -> None:
        """Give the local image `source` one more name. Raises ImageNotFound."""
        self._images.tag(source, target)

    async def remove_image(self, reference: str, *, force: bool = False) -> list[str]:
        """Take a name away, and the image with the last one; see Images.remove."""
        return await self._images.remove(reference, force=force)

    async def import_image(
        self,
        archive: str | Path | BinaryIO,
        reference: str = "",
        *,
        changes: Sequence[str] = (),
        message: str = "",
        platform: str = "",
    ) -> Image:
        """An image of one layer from a tar of a root file system; see Images.import_archive."""
        return await self._images.import_archive(
            archive, reference, changes=changes, message=message, platform=platform
        )

    # Containers

    async def run(
        self,
        options: RunOptions,
        *,
        begun: Begun | None = None,
        meanwhile: Callable[[], object] | None = None,
    ) -> OwnedContainer:
        """Start a container that this process owns: it ends with this engine.

        `begun` is what begin() made of the same options, taken over from the first line. `meanwhile` is
        called when everything is sent, and the guest is at it.
        Its process runs when this returns; when it raises, nothing is left of it. Raises UsageError and
        HostUnsupported before anything is made, and what pulling, building and booting raise.
        """
        if isinstance(options.pod, Member):
            raise UsageError("a container in a pod belongs to the pod", hint="start it with run_detached()")
        if begun is None:
            from firkin.engine.begin import Begun, begin
            from firkin.engine.life_words import check_mortal

            self._require_open()
            check_mortal(options)
            begun = begin(options, self.settings) or Begun(*await self._create(options, detached=False))
        return await self._begun_here(begun.record, begun.lock, begun.started, meanwhile)

    async def run_detached(self, options: RunOptions) -> Container:
        """Start a container that the supervisor owns: it lives until somebody stops it. Raises as run()."""
        found, lock = await self._create(options, detached=True)
        lock.close()
        return await self._handed_over(found)

    @asynccontextmanager
    async def run_tied(self, options: RunOptions) -> AsyncIterator[Container]:
        """Start a container in a pod that goes with the block, or with this process. Raises as run()."""
        from firkin.engine.tie import tie

        assert isinstance(options.pod, Member)
        place = msgspec.structs.replace(options.pod, tied=True)
        found, lock = await self._create(
            msgspec.structs.replace(options, pod=place, auto_remove=False), detached=True
        )
        with tie(found):
            lock.close()
            container = await self._handed_over(found)
            try:
                yield container
            finally:
                await finish(self._take_back(found))

    async def create(self, options: RunOptions) -> Container:
        """A container that is not started before start() is asked for. Raises as run(), but for booting."""
        found, lock = await self._create(options, detached=True, kept=True)
        lock.close()
        return await self.container(found.id)

    async def restart(self, name_or_id: str, timeout_s: float | None = None) -> Container:
        """Stop a container where it runs, as Container.stop() does, and start it: also one with auto_remove.

        Raises as start().
        """
        container = await self.container(name_or_id)
        if isinstance(container.state, Running):
            await container.stop(timeout_s, again=True)
        return await self.start(container.id)

    async def wait(self, container: Container, condition: Condition = "not-running") -> ExitStatus:
        """How `container` ended, once `condition` holds; see engine.waiting."""
        from firkin.engine.waiting import until

        return await until(container, self.paths, condition)

    async def start(self, name_or_id: str) -> Container:
        """Start a container that was created, or an ended one again, its disk and its log as they are; the
        supervisor owns it then.

        Nothing happens to one that runs. Raises ContainerNotFound, WrongState, UsageError, and what booting
        raises: then it is as before.
        """
        container = await self.container(name_or_id)
        await self.start_of(container)
        return await self.container(container.id)

    async def start_of(self, container: Container) -> None:
        """start() of what was found already: a container, or a pod as one."""
        from firkin.engine import supervised
        from firkin.engine.settled import settled

        state = container.state
        if isinstance(state, Running):
            if state.paused:
                raise WrongState(
                    f"container {container.name!r} is paused", hint=f"`firkin unpause {container.name}`"
                )
            return
        if isinstance(state, Suspended):
            raise WrongState(
                f"container {container.name!r} is suspended", hint=f"`firkin resume {container.name}`"
            )
        again = None
        if isinstance(state, Exited):
            again = state.finished_ns
            self._owned.pop(container.id, None)
            await settled(Record(self.paths, container.id))
        await supervised.run(self.settings, container.id, again=again)

    async def discard(self, container_id: str) -> None:
        """Remove a container or a pod, whatever it is at. Raises ContainerNotFound."""
        record = Record(self.paths, container_id)
        if isinstance(record.spec().pod, Sandbox):
            await self.pods.remove(container_id, force=True)
        else:
            await (await self.container(container_id)).remove(force=True)

    async def resume(self, name_or_id: str) -> Container:
        """Let a suspended container go on where it was; the supervisor owns it then. Or a paused one.

        Nothing happens to one that runs. Raises WrongState for any other, Misfit where what was saved cannot
        run here, PortInUse, and what booting raises; then it is suspended as before.
        """
        from firkin.engine import supervised
        from firkin.engine.settled import settled

        container = await self.container(name_or_id)
        state = container.state
        if isinstance(state, Running):
            if state.paused:
                await container.unpause()
            return container
        if not isinstance(state, Suspended):
            raise WrongState(
                f"container {container.name!r} is not suspended", hint=f"`firkin start {container.name}`"
            )
        self._owned.pop(container.id, None)
        await settled(Record(self.paths, container.id))
        await supervised.run(self.settings, container.id, again=state.suspended_ns)
        return await self.container(container.id)

    async def roll_back(
        self, container: str, snapshot: str, *, discard: bool = False, force: bool = False
    ) -> Snapshot | None:
        """Let the disk of `container` be that of `snapshot` again; see disk_snapshots.roll_back().

        A running one is refused, or with `force` stopped before and started again afterwards.
        """
        from firkin.engine import disk_snapshots

        found = await self.container(container)
        record = Record(self.paths, found.id)
        if runs := isinstance(found.state, Running):
            disk_snapshots.check_way_back(record, snapshot, force=force)
            await found.stop()
        kept = await disk_snapshots.roll_back(record, snapshot, discard=discard)
        if runs:
            await self.start(found.id)
        return kept

    def containers(self, *, all: bool = False) -> list[ContainerSummary]:
        """The running containers of this user, whoever owns them; with `all` the ended ones too."""
        from firkin.engine.summaries import summaries

        return summaries(self.paths, all=all)

    async def container(self, name_or_id: str) -> Container:
        """The container of that name, id, or beginning of an id. Raises ContainerNotFound, UsageError."""
        from firkin.container.record import find
        from firkin.engine.remote import RemoteContainer

        found = find(self.paths, name_or_id)
        owned = self._owned.get(found.id)
        if owned is not None:
            return owned
        remote = RemoteContainer(found, revive=self.revive)
        as_container(remote.spec)
        return remote

    async def tidy(self) -> None:
        """Put on record, or remove, what dead owners left."""
        from firkin.engine.tidy import tidy_all

        await in_thread(partial(tidy_all, self.paths))

    # Pods

    @cached_property
    def pods(self) -> Pods:
        """The pods of this user."""
        from firkin.engine.pods import Pods

        return Pods(self)

    # How

    @property
    def store(self) -> Store:
        """Where the images are."""
        return self._images.store

    @cached_property
    def _images(self) -> Images:
        from firkin.engine.images import Images

        return Images(self.settings)

    async def _create(
        self, options: RunOptions, *, detached: bool, kept: bool = False
    ) -> tuple[Record, Lock]:
        """The record of a new container, owned by us."""
        if isinstance(options.pod, Member):
            return await self.pods.put(options, kept=kept)
        from firkin.engine import rules
        from firkin.engine.begin import put_file_on_record, put_on_record
        from firkin.engine.machine_words import check_owned
        from firkin.engine.resolve import disk_bytes

        rules.check(options)
        if detached:
            check_owned(options)
        names.check_wanted(options.name, self.paths)
        if options.root.file is not None:
            return put_file_on_record(options, self.settings, detached=detached, kept=kept)
        with self._images.store.adding():
            image = await self.pull(options.image, platform=options.platform, policy=options.pull)
            if options.isolation == "namespace":
                from firkin.engine.namespace_root import put

                return await put(
                    options, image, self.settings, self._images.store.open_blob, detached=detached, kept=kept
                )
            rootfs = await self._rootfs(image, disk_bytes(options, self.settings))
            return put_on_record(options, image, rootfs, self.settings, detached=detached, kept=kept)

    def _require_open(self) -> None:
        if not self._entered:
            raise WrongState("the engine is not open", hint="use it as an async context manager")

    async def _rootfs(self, image: Image, size_bytes: int) -> Rootfs:
        from firkin.rootfs.cache import build, find, key_of

        begin_ns = time.monotonic_ns()
        key = key_of(image.layers, size_bytes)
        if (found := find(self.paths.rootfs_dir, key)) is not None:
            span("rootfs", begin_ns, time.monotonic_ns(), key=key)
            return found
        store = self._images.store
        rootfs_dir = self.paths.rootfs_dir
        return await in_thread(
            lambda: build(
                image.layers, open_blob=store.open_blob, rootfs_dir=rootfs_dir, size_bytes=size_bytes
            )
        )

    async def _begun(self, found: Record, lock: Lock, *, detached: bool) -> Container:
        """The new container of `found`, once it was started by whoever is to own it."""
        if not detached:
            return await self._begun_here(found, lock)
        lock.close()
        return await self._handed_over(found)

    async def _begun_here(
        self,
        found: Record,
        lock: Lock,
        started: Started | StartedNamespace | None = None,
        meanwhile: Callable[[], object] | None = None,
    ) -> OwnedContainer:
        container = self._own(found, lock, started)
        tidying = asyncio.create_task(self._tidy_meanwhile(container, meanwhile))
        try:
            await container.start()
        except BaseException:
            self._owned.pop(container.id, None)
            tidying.cancel()
            raise
        self._tidying.add(tidying)
        tidying.add_done_callback(self._tidying.discard)
        return container

    async def _handed_over(self, found: Record) -> Container:
        """The new container of `found`, which nobody owns, once the supervisor has started it."""
        from firkin.engine import supervised

        try:
            await supervised.run(self.settings, found.id)
        except BaseException:
            await asyncio.shield(self._take_back(found))
            raise
        return await self.container(found.id)

    async def _take_back(self, found: Record) -> None:
        """Remove a container that the supervisor was asked to start and nobody waits for any more."""
        with suppress(ContainerNotFound):
            await (await self.container(found.id)).remove(force=True)

    async def _tidy_meanwhile(
        self, container: OwnedContainer, meanwhile: Callable[[], object] | None
    ) -> None:
        """Do `meanwhile` and tidy what dead owners left, while the guest of `container` boots."""
        await container.booting()
        if meanwhile is not None:
            meanwhile()
        from firkin.engine.tidy import tidy_running

        await in_thread(partial(tidy_running, self.paths))

    async def revive(self) -> None:
        """See to it that running containers without an owner get one."""
        from firkin.engine import supervised

        await supervised.wake(self.settings)

    def _own(self, record: Record, lock: Lock, started: Started | StartedNamespace | None) -> OwnedContainer:
        from firkin.engine.begin import Begun
        from firkin.engine.owner import OwnedContainer

        try:
            self._require_open()  # it may have been closed while an image was pulled
            container = OwnedContainer.create(
                record, lock, settings=self.settings, lifetime="owner", started=started
            )
        except BaseException:
            Begun(record, lock, started).abort()
            raise
        self._owned = {each.id: each for each in (*self._owned.values(), container) if not each.done}
        return container
