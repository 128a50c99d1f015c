"""Engine: AsyncEngine with blocking calls, and run(), the whole of it in one call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Unpack, overload

from firkin.api.async_engine import AsyncEngine
from firkin.api.container import Container, Snapshot
from firkin.api.loop import Loop
from firkin.engine.image_push import Pushed
from firkin.engine.images import ImageSummary
from firkin.engine.options import PullPolicy
from firkin.engine.pod_words import PodWords
from firkin.engine.stdio_words import is_pipe
from firkin.engine.summaries import ContainerSummary
from firkin.engine.templates import TemplateSummary
from firkin.engine.words import RunWords, Size
from firkin.errors import UsageError
from firkin.oci.image import Image
from firkin.process.output import Output
from firkin.settings import Settings

if TYPE_CHECKING:
    from firkin.api.networks import Networks
    from firkin.api.pod import Pod
    from firkin.api.pool import Pool
    from firkin.api.pool_words import PoolWords
    from firkin.api.volumes import Volumes
    from firkin.container.journal import Happening
    from firkin.engine.staged_file import Staged


class Engine:
    """Where images are kept and containers run. A context manager: leaving it ends what run() started.

    `settings` are the user's (environment and config file) where none are given; `overrides` are fields of
    Settings, such as accelerator="tcg". It may be used from several threads.
    """

    def __init__(self, settings: Settings | None = None, **overrides: Any) -> None:
        self._engine = AsyncEngine(settings, **overrides)
        self._loop = Loop()
        self._loop.call(self._engine.__aenter__())

    def close(self) -> None:
        """End what run() started. May be called twice."""
        self.__exit__(None, None, None)

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop.is_open:
            try:
                self._loop.call(self._engine.__aexit__(kind, error, trace))
            finally:
                self._loop.close()

    def run(
        self, image: str, command: Iterable[str] = (), *, detach: bool = False, **words: Unpack[RunWords]
    ) -> Container:
        """Start a container. Missing images are pulled.

        It ends with this engine and is removed once it ended, unless `words` say auto_remove=False. With
        `detach` the supervisor has it: it lives until somebody stops it, and stays until somebody removes it.
        Raises UsageError before anything is made, and what pulling, building the disk and booting raise;
        nothing is left of it then.
        """

        async def start() -> Container:
            return Container(await self._engine.run(image, command, detach=detach, **words), self._loop)

        return self._loop.call(start())

    def run_bundle(
        self, directory: str | Path, *, detach: bool = False, **words: Unpack[RunWords]
    ) -> Container:
        """Start a container of an OCI bundle: its config.json says what and how; see run().

        `words` are about what a config.json says nothing of, such as name, memory, network (else "none").
        Raises UsageError for what is wrong in it or cannot be honoured, before anything is made.
        """

        async def start() -> Container:
            started = await self._engine.run_bundle(directory, detach=detach, **words)
            return Container(started, self._loop)

        return self._loop.call(start())

    def create(self, image: str, command: Iterable[str] = (), **words: Unpack[RunWords]) -> Container:
        """A container that its start() starts: the supervisor has it then, and it stays until somebody
        removes it, started or not. Raises as run() with `detach`, but for booting.
        """
        return Container(self._loop.call(self._engine.create(image, command, **words)), self._loop)

    def pull(self, reference: str, *, platform: str = "", policy: PullPolicy = "always") -> Image:
        """The image of that name, from its registry unless `policy` lets a local one do."""
        return self._loop.call(self._engine.pull(reference, platform=platform, policy=policy))

    def push(
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
        pushing = self._engine.push(
            name, destination, platform=platform, sign_by=sign_by, passphrase=passphrase
        )
        return self._loop.call(pushing)

    def warm(
        self, *, memory: Size | None = None, cpus: int | None = None, network: str = "user"
    ) -> TemplateSummary:
        """The template that machines of that shape are forked from, made now where it is missing: else the
        first run of that shape makes it, and takes so much longer.

        Raises UsageError, HostUnsupported, StorageFull, Timeout, BootFailed.
        """
        return self._loop.call(self._engine.warm(memory=memory, cpus=cpus, network=network))

    def images(self) -> list[ImageSummary]:
        """Every local image, by name."""
        return self._loop.call(self._engine.images())

    def image(self, reference: str) -> Image:
        """The local image of that name. Raises ImageNotFound."""
        return self._loop.call(self._engine.image(reference))

    def tag(self, source: str, target: str) -> None:
        """Give the local image `source` one more name. Raises ImageNotFound."""
        self._loop.call(self._engine.tag(source, target))

    def remove_image(self, reference: str, *, force: bool = False) -> list[str]:
        """Take the name away, and the image where it was the last: what went. Raises ImageNotFound, InUse."""
        return self._loop.call(self._engine.remove_image(reference, force=force))

    def import_image(
        self, archive: str | Path | BinaryIO, reference: str, *, changes: Sequence[str] = ()
    ) -> Image:
        """A new image of one layer from a tar of a root file system. `changes` are lines such as "CMD sh"."""
        return self._loop.call(self._engine.import_image(archive, reference, changes=changes))

    def save_images(
        self,
        names: Iterable[str],
        target: str | Path | BinaryIO,
        *,
        format: str = "docker-archive",
        platform: str = "",
    ) -> None:
        """Write local images with their names to a file, which appears whole, or to a stream."""
        self._loop.call(self._engine.save_images(names, target, format=format, platform=platform))

    def load_images(self, archive: str | Path | BinaryIO) -> list[Image]:
        """The images in an archive of save_images(), docker save, podman save or skopeo."""
        return self._loop.call(self._engine.load_images(archive))

    def stage_to(
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

        `format` is "raw", or "qcow2" for an overlay over a hard link to the image's disk beside it.
        """
        staging = self._engine.stage_to(
            path, image, format=format, disk=disk, platform=platform, policy=policy, replace=replace
        )
        return self._loop.call(staging)

    @property
    def volumes(self) -> Volumes:
        """The volumes of this user."""
        from firkin.api.volumes import Volumes

        return Volumes(self._engine.volumes, self._loop)

    @property
    def networks(self) -> Networks:
        """The private networks of this user."""
        from firkin.api.networks import Networks

        return Networks(self._engine.networks, self._loop)

    def containers(self, *, all: bool = False) -> list[ContainerSummary]:
        """The running containers of this user, whoever started them; with `all` the ended ones too."""
        return self._loop.call(self._engine.containers(all=all))

    def events(
        self, *, since_ns: int | None = None, until_ns: int | None = None, filters: Iterable[str] = ()
    ) -> Iterator[Happening]:
        """What happens to this user's containers and images, whichever process does it, in Docker's words."""
        return self._loop.iterate(self._engine.events(since_ns=since_ns, until_ns=until_ns, filters=filters))

    def container(self, name_or_id: str) -> Container:
        """The container of that name, id, or unique beginning of an id. Raises ContainerNotFound."""
        return Container(self._loop.call(self._engine.container(name_or_id)), self._loop)

    def pod(self, **words: Unpack[PodWords]) -> Pod:
        """A pod that is made when it is entered, and taken away when that block or this program ends."""
        from firkin.api.pod import Pod

        return Pod(self._loop.run(lambda: self._engine.pod(**words)), self._loop)

    def create_pod(self, **words: Unpack[PodWords]) -> Pod:
        """A pod that stays until somebody removes it."""
        from firkin.api.pod import Pod

        return Pod(self._loop.call(self._engine.create_pod(**words)), self._loop)

    def find_pod(self, name_or_id: str) -> Pod:
        """The pod of that name, id, or unique beginning of an id. Raises PodNotFound."""
        from firkin.api.pod import Pod

        return Pod(self._loop.call(self._engine.find_pod(name_or_id)), self._loop)

    def pods(self) -> list[Pod]:
        """All pods of this user, those made last in front."""
        from firkin.api.pod import Pod

        return [Pod(each, self._loop) for each in self._loop.call(self._engine.pods())]

    def play_kube(
        self, manifest: str | Path | bytes, *, start: bool = True, replace: bool = False
    ) -> list[Pod]:
        """The pods of a Kubernetes manifest, a file or its content as bytes, made and, with `start`, started.

        With `replace` pods of those names go first. Raises UsageError for what is wrong in it, NameInUse, and
        what starting raises.
        """
        from firkin.api.pod import Pod

        playing = self._engine.play_kube(manifest, start=start, replace=replace)
        return [Pod(each, self._loop) for each in self._loop.call(playing)]

    def down_kube(self, manifest: str | Path | bytes) -> list[str]:
        """Stop and remove the pods of a Kubernetes manifest, not its volumes; the names of those there were.

        Raises UsageError for what is wrong in it.
        """
        return self._loop.call(self._engine.down_kube(manifest))

    def pool(
        self,
        source: str | Snapshot,
        command: Iterable[str] = (),
        *,
        ready: int = 8,
        **words: Unpack[PoolWords],
    ) -> Pool:
        """Machines of the image, or forks of the snapshot `source`, of which `ready` are kept ready.

        A context manager: nothing happens before it is entered.
        """
        from firkin.api.pool import Pool

        of = source if isinstance(source, str) else self._loop.call(self._engine.snapshot(source.id))
        return Pool(self._loop.run(lambda: self._engine.pool(of, command, ready=ready, **words)), self._loop)

    def snapshots(self) -> list[Snapshot]:
        """All snapshots of this user, the newest first. Raises Corrupt where one cannot be read."""
        return [Snapshot(each, self._loop) for each in self._loop.call(self._engine.snapshots())]

    def import_snapshot(self, archive: str | Path | BinaryIO, name: str = "") -> Snapshot:
        """The snapshot in an OCI archive, a path or a stream, under `name`, else under its own.

        Raises Untrusted where the policy refuses it, IntegrityError, Misfit, NameInUse, UsageError,
        StorageFull; then nothing is kept.
        """
        return Snapshot(self._loop.call(self._engine.import_snapshot(archive, name)), self._loop)

    def snapshot(self, name_or_id: str) -> Snapshot:
        """The snapshot of that name, id, or unique beginning of an id. Raises SnapshotNotFound."""
        return Snapshot(self._loop.call(self._engine.snapshot(name_or_id)), self._loop)


@overload
def run(
    image: str,
    command: Iterable[str] = ...,
    *,
    input: bytes | str | None = ...,
    timeout: float | None = ...,
    check: bool = ...,
    text: Literal[False] = ...,
    limit: Size | None = ...,
    truncate: bool = ...,
    settings: Settings | None = ...,
    **words: Unpack[RunWords],
) -> Output[bytes]: ...
@overload
def run(
    image: str,
    command: Iterable[str] = ...,
    *,
    input: bytes | str | None = ...,
    timeout: float | None = ...,
    check: bool = ...,
    text: Literal[True],
    limit: Size | None = ...,
    truncate: bool = ...,
    settings: Settings | None = ...,
    **words: Unpack[RunWords],
) -> Output[str]: ...
@overload
def run(
    image: str,
    command: Iterable[str] = ...,
    *,
    input: bytes | str | None = ...,
    timeout: float | None = ...,
    check: bool = ...,
    text: bool = ...,
    limit: Size | None = ...,
    truncate: bool = ...,
    settings: Settings | None = ...,
    **words: Unpack[RunWords],
) -> Output[Any]: ...
def run(
    image: str,
    command: Iterable[str] = (),
    *,
    input: bytes | str | None = None,
    timeout: float | None = None,
    check: bool = False,
    text: bool = False,
    limit: Size | None = None,
    truncate: bool = False,
    settings: Settings | None = None,
    **words: Unpack[RunWords],
) -> Output[Any]:
    """Run `command` in a new container of `image`, in a machine of its own, to its end; cf. subprocess.run().

    `input` goes to its standard input. The output is bytes, or with `text` str (UTF-8; what is not, becomes
    U+FFFD). `words` are those of `firkin run`: env, workdir, user, volumes, memory, network, ... (see
    docs/reference/python.md). The container is removed at the end, unless auto_remove=False.

    Raises Timeout when it took longer than `timeout` seconds from its start on, CommandFailed with `check`
    when it did not exit with 0, CommandNotFound, and whatever else kept it from running: all FirkinErrors.
    """
    words.setdefault("stdin", input is not None)
    if is_pipe(words["stdin"]):
        input = input or b""  # nobody else can write there
    elif input is not None:
        raise UsageError("stdin: it cannot be both that and input", hint="leave one of them out")
    with Engine(settings) as engine:
        container = engine.run(image, command, **words)
        return container.output(
            input, timeout=timeout, check=check, text=text, limit=limit, truncate=truncate
        )
