"""AsyncEngine: images and containers of one user, from asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Unpack

from firkin.api.async_container import AsyncContainer, AsyncSnapshot
from firkin.api.starting import Starting
from firkin.api.tied_files import TiedFiles
from firkin.engine.engine import Engine as InnerEngine
from firkin.engine.image_push import Pushed
from firkin.engine.images import ImageSummary
from firkin.engine.lists import listed
from firkin.engine.options import PullPolicy
from firkin.engine.pod_words import PodWords
from firkin.engine.summaries import ContainerSummary
from firkin.engine.templates import TemplateSummary, make
from firkin.engine.words import RunWords, Size, choice, run_options, shape
from firkin.oci.image import Image
from firkin.settings import Settings
from firkin.snapshot.record import find, snapshots

if TYPE_CHECKING:
    from firkin.api.async_networks import AsyncNetworks
    from firkin.api.async_pod import AsyncPod
    from firkin.api.async_pool import AsyncPool
    from firkin.api.async_volumes import AsyncVolumes
    from firkin.api.pool_words import PoolWords
    from firkin.container.journal import Happening
    from firkin.engine.staged_file import Staged


class AsyncEngine:
    """Where images are kept and containers run. An async context manager: leaving it ends what run() started.

    `settings` are the user's (environment and config file) where none are given; `overrides` are fields of
    Settings, such as accelerator="tcg". Entering it touches nothing.
    """

    def __init__(self, settings: Settings | None = None, **overrides: Any) -> None:
        self._engine = InnerEngine(Settings.load(**overrides) if settings is None else settings)

    async def __aenter__(self) -> AsyncEngine:
        await self._engine.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._engine.__aexit__(kind, error, trace)

    def run(
        self, image: str, command: Iterable[str] = (), *, detach: bool = False, **words: Unpack[RunWords]
    ) -> Starting[AsyncContainer]:
        """Start a container: `await` it, enter it, or take its `.output()`.

        Missing images are pulled. It ends with this engine and is removed once it ended, unless `words` say
        auto_remove=False. With `detach` the supervisor has it: it lives until somebody stops it, and stays
        until somebody removes it. `stdin`, `stdout` and `stderr` mean what they do to subprocess.Popen, and
        may be the path of a file, too. Raises UsageError before anything is made, and what pulling, building
        the disk and booting raise; nothing is left of it then.
        """
        detach |= bool(words.get("pod"))  # it is the pod's
        words.setdefault("auto_remove", not detach)
        tied = TiedFiles({}) if detach else TiedFiles.taken_from(words)
        options = run_options(image, command, **words)
        engine = self._engine

        async def start() -> AsyncContainer:
            if detach:
                return AsyncContainer(await engine.run_detached(options), engine)
            async with tied.relays(engine, options, f"the command of image {image}") as (given, relays):
                started = await engine.run(given)
                if relays is not None:
                    relays.begin(await started.attach(stdin=relays.has_input, replay=True))
                return AsyncContainer(started, engine, relays=relays)

        return Starting(start)

    def run_bundle(
        self, directory: str | Path, *, detach: bool = False, **words: Unpack[RunWords]
    ) -> Starting[AsyncContainer]:
        """Start a container of an OCI bundle: its config.json says what and how; see run().

        `words` are about what a config.json says nothing of, such as name, memory, network (else "none").
        Its root file system becomes the image localhost/bundle:... Raises UsageError for what is wrong in it
        or cannot be honoured, before anything is made, and as run().
        """
        from firkin.engine import bundles

        words.setdefault("auto_remove", not detach)
        bundle = bundles.read(directory)
        options = bundles.options_of(bundle, **words)

        async def start() -> AsyncContainer:
            engine = self._engine
            await bundles.put(bundle, engine.settings)
            started = await (engine.run_detached(options) if detach else engine.run(options))
            return AsyncContainer(started, engine)

        return Starting(start)

    async def create(
        self, image: str, command: Iterable[str] = (), **words: Unpack[RunWords]
    ) -> AsyncContainer:
        """A container that start() starts: the supervisor has it then, and it stays until somebody removes
        it, started or not. Raises as run() with `detach`, but for booting.
        """
        return AsyncContainer(await self._engine.create(run_options(image, command, **words)), self._engine)

    async def pull(self, reference: str, *, platform: str = "", policy: PullPolicy = "always") -> Image:
        """The image of that name, from its registry unless `policy` lets a local one do.

        Raises ReferenceSyntaxError, ImageNotFound, PlatformNotFound, Untrusted, RegistryError,
        IntegrityError.
        """
        return await self._engine.pull(reference, platform=platform, policy=policy)

    async def push(
        self,
        name: str,
        destination: str = "",
        *,
        platform: str = "",
        sign_by: str | Path = "",
        passphrase: bytes = b"",
    ) -> Pushed:
        """Send a local image to a registry, under its own name or `destination`, or a snapshot: what is
        there now.

        Of an index whose images are not all here, only one: that of `platform`, else of this host. `sign_by`
        is the file of a sigstore private key to sign it with, `passphrase` the key's. Raises ImageNotFound,
        UsageError, NotFound, RegistryError, IntegrityError.
        """
        from firkin.trust.sign import load_private_key

        key = load_private_key(sign_by, lambda: passphrase) if sign_by else None
        return await self._engine.push(name, destination, platform=platform, key=key)

    async def warm(
        self, *, memory: Size | None = None, cpus: int | None = None, network: str = "user"
    ) -> TemplateSummary:
        """The template that machines of that shape are forked from, made now where it is missing: else the
        first run of that shape makes it, and takes so much longer.

        Raises UsageError, HostUnsupported, StorageFull, Timeout, BootFailed.
        """
        return await make(self._engine.settings, **shape(memory=memory, cpus=cpus, network=network))

    async def images(self) -> list[ImageSummary]:
        """Every local image, by name."""
        return self._engine.images()

    async def image(self, reference: str) -> Image:
        """The local image of that name. Raises ImageNotFound."""
        return self._engine.image(reference)

    async def tag(self, source: str, target: str) -> None:
        """Give the local image `source` one more name. Raises ImageNotFound."""
        self._engine.tag(source, target)

    async def remove_image(self, reference: str, *, force: bool = False) -> list[str]:
        """Take the name away, and the image where it was the last: what went. Raises ImageNotFound, InUse."""
        return await self._engine.remove_image(reference, force=force)

    async def import_image(
        self, archive: str | Path | BinaryIO, reference: str, *, changes: Sequence[str] = ()
    ) -> Image:
        """A new image of one layer from a tar of a root file system. `changes` are lines such as "CMD sh"."""
        return await self._engine.import_image(archive, reference, changes=changes)

    async def save_images(
        self,
        names: Iterable[str],
        target: str | Path | BinaryIO,
        *,
        format: str = "docker-archive",
        platform: str = "",
    ) -> None:
        """Write local images with their names to a file, which appears whole, or to a stream.

        `format` is "docker-archive" or "oci-archive". Raises ImageNotFound.
        """
        from firkin.engine.image_save import ArchiveFormat, save

        form: ArchiveFormat = choice("format", format, ArchiveFormat)
        await save(self._engine.settings, listed("names", names), target, form=form, platform=platform)

    async def load_images(self, archive: str | Path | BinaryIO) -> list[Image]:
        """The images in an archive of save_images(), docker save, podman save or skopeo, a path or a stream.

        Raises Untrusted, Corrupt, DigestMismatch; then none of them is here.
        """
        from firkin.engine.image_load import load

        return [each.image for each in await load(self._engine.settings, archive)]

    async def stage_to(
        self,
        path: str | Path,
        image: str,
        *,
        format: str = "raw",
        disk: Size | None = None,
        platform: str = "",
        policy: PullPolicy = "missing",
        replace: bool = False,
    ) -> Staged:
        """Write the disk of `image`, an ext4 file system of the size `disk`, to the file `path`, which
        appears whole: how, how many bytes, how long.

        `format` is "raw", or "qcow2" for an overlay over a hard link to the image's disk beside it. Raises
        UsageError, NameInUse where there is a file already, unless `replace`, StorageFull, HostUnsupported,
        and as pull(); then nothing of it is left.
        """
        from firkin.engine.staged_file import StageFormat
        from firkin.engine.staging import stage_to
        from firkin.engine.words import size_bytes

        form: StageFormat = choice("format", format, StageFormat)
        return await stage_to(
            self._engine.settings,
            path,
            image,
            form=form,
            disk_bytes=size_bytes("disk", disk),
            platform=platform,
            policy=policy,
            replace=replace,
        )

    @property
    def volumes(self) -> AsyncVolumes:
        """The volumes of this user."""
        from firkin.api.async_volumes import AsyncVolumes

        return AsyncVolumes(self._engine.settings)

    @property
    def networks(self) -> AsyncNetworks:
        """The private networks of this user."""
        from firkin.api.async_networks import AsyncNetworks

        return AsyncNetworks(self._engine.settings)

    async def containers(self, *, all: bool = False) -> list[ContainerSummary]:
        """The running containers of this user, whoever started them; with `all` the ended ones too."""
        return self._engine.containers(all=all)

    def events(
        self, *, since_ns: int | None = None, until_ns: int | None = None, filters: Iterable[str] = ()
    ) -> AsyncIterator[Happening]:
        """What happens to this user's containers and images, whichever process does it, in Docker's words.

        From `since_ns` (else now) until `until_ns` (else for ever) of CLOCK_REALTIME; only what fits the
        `filters`, such as "event=die" or "container=web". Raises UsageError for a bad filter.
        """
        from firkin.engine.happenings import Wanted, happenings

        return happenings(self._engine.paths, Wanted.parse(filters), since_ns=since_ns, until_ns=until_ns)

    async def container(self, name_or_id: str) -> AsyncContainer:
        """The container of that name, id, or unique beginning of an id. Raises ContainerNotFound."""
        return AsyncContainer(await self._engine.container(name_or_id), self._engine)

    def pod(self, **words: Unpack[PodWords]) -> AsyncPod:
        """A pod that is made when it is entered, and taken away when that block or this process ends.

        Raises UsageError, NameInUse when it is entered.
        """
        from firkin.api.async_pod import AsyncPod

        return AsyncPod(self._engine, words=words)

    async def create_pod(self, **words: Unpack[PodWords]) -> AsyncPod:
        """A pod that stays until somebody removes it. Raises UsageError, NameInUse, StorageFull."""
        from firkin.api.async_pod import created

        return await created(self._engine, words)

    async def find_pod(self, name_or_id: str) -> AsyncPod:
        """The pod of that name, id, or unique beginning of an id. Raises PodNotFound."""
        from firkin.api.async_pod import found

        return found(self._engine, name_or_id)

    async def pods(self) -> list[AsyncPod]:
        """All pods of this user, those made last in front."""
        from firkin.api.async_pod import everyone

        return everyone(self._engine)

    async def play_kube(
        self, manifest: str | Path | bytes, *, start: bool = True, replace: bool = False
    ) -> list[AsyncPod]:
        """The pods of a Kubernetes manifest, a file or its content as bytes, made and, with `start`, started.

        With `replace` pods of those names go first. What of it cannot be honoured is told in the event
        kube.unused. Raises UsageError for what is wrong in it, NameInUse, and what starting raises.
        """
        from firkin.api.async_pod import played

        return await played(self._engine, manifest, start=start, replace=replace)

    async def down_kube(self, manifest: str | Path | bytes) -> list[str]:
        """Stop and remove the pods of a Kubernetes manifest, not its volumes; the names of those there were.

        Raises UsageError for what is wrong in it.
        """
        from firkin.api.async_pod import taken_down

        return await taken_down(self._engine, manifest)

    def pool(
        self,
        source: str | AsyncSnapshot,
        command: Iterable[str] = (),
        *,
        ready: int = 8,
        **words: Unpack[PoolWords],
    ) -> AsyncPool:
        """Machines of the image, or forks of the snapshot `source`, of which `ready` are kept ready.

        An async context manager: nothing happens before it is entered. `words` are those of run(), and of the
        pool: most, when_empty, warm, reserve_memory, reserve_disk, max_load. Raises UsageError,
        SnapshotNotFound.
        """
        from firkin.api.async_pool import AsyncPool
        from firkin.api.pool_words import pool_of

        of = source if isinstance(source, str) else find(self._engine.paths, source.id)
        return AsyncPool(pool_of(self._engine, of, command, ready=ready, **words), self._engine)

    async def snapshots(self) -> list[AsyncSnapshot]:
        """All snapshots of this user, the newest first. Raises Corrupt where one cannot be read."""
        return [AsyncSnapshot(each, self._engine) for each in snapshots(self._engine.paths)]

    async def import_snapshot(self, archive: str | Path | BinaryIO, name: str = "") -> AsyncSnapshot:
        """The snapshot in an OCI archive, a path or a stream, under `name`, else under its own.

        Raises Untrusted where the policy refuses it, IntegrityError, Misfit, NameInUse, UsageError,
        StorageFull; then nothing is kept.
        """
        from firkin.engine.snapshot_moves import import_archive

        return AsyncSnapshot(await import_archive(self._engine.settings, archive, name), self._engine)

    async def snapshot(self, name_or_id: str) -> AsyncSnapshot:
        """The snapshot of that name, id, or unique beginning of an id. Raises SnapshotNotFound."""
        return AsyncSnapshot(find(self._engine.paths, name_or_id), self._engine)
