"""Commit: a container becomes an image, that of its own with one more layer on it.

    changes since its image ──► layer ──► gzip ──► blob
    the image's config, what the container was told to run, `changes` ──► config ──► manifest ──► name

The rule: the image has no name before all of it is there, and what cannot be a layer is an error. The layer
of the same disk is the same to the byte; only the config says when it was made.
"""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

import msgspec

from firkin.aio.thread import in_thread
from firkin.container.record import Record
from firkin.container.spec import ContainerSpec
from firkin.engine.container import Container
from firkin.engine.diffs import OURS
from firkin.engine.health_facts import image_check
from firkin.engine.image_changes import changed
from firkin.engine.images import UNNAMED
from firkin.engine.overlaid import is_overlaid, written
from firkin.engine.root_rules import check_of_an_image
from firkin.errors import ImageNotFound, UsageError
from firkin.events import event, stage
from firkin.ext4.reader.file_system import FileSystem
from firkin.machine.qcow2_disk import Disk
from firkin.oci import media_types as types
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.oci.healthcheck import ImageHealthCheck
from firkin.oci.image import Image
from firkin.oci.image_config import History, ImageConfig, encode_config
from firkin.oci.manifest import Manifest, decode, encode_manifest
from firkin.oci.reference import Reference
from firkin.paths import Paths
from firkin.settings import Settings
from firkin.snapshot import stack
from firkin.snapshot.diff import changes
from firkin.snapshot.layer_tar import layer_tar
from firkin.snapshot.stack import Stack
from firkin.snapshot.upper import upper_layer
from firkin.store.store import Store

_LEVEL = 1
_TOLD_EVERY_BYTES = 1 << 20
_OCI = {
    types.DOCKER_LAYER: types.OCI_LAYER,
    types.DOCKER_LAYER_GZIP: types.OCI_LAYER_GZIP,
    types.DOCKER_LAYER_ZSTD: types.OCI_LAYER_ZSTD,
}
_OURS_ALONE = frozenset({"HOSTNAME", "TERM"})


async def commit(
    container: Container,
    settings: Settings,
    name: str = "",
    *,
    author: str = "",
    message: str = "",
    config_changes: Sequence[str] = (),
) -> Image:
    """An image of what `container` is now, known as `name`, else by its id alone.

    The writes of a running one wait meanwhile, for half a minute at most, unless it is overlaid. Raises
    UsageError, ImageNotFound, WrongState, Timeout, Corrupt, StorageFull, and of one that is overlaid what
    starting a machine raises; then no image is there.
    """
    reference = Reference.parse(name) if name else UNNAMED
    if name and reference.digest is not None:
        raise UsageError(f"cannot commit as {name!r}: its digest is not yet known", hint="leave the @ away")
    spec, store = container.spec, Store(settings.paths)
    check_of_an_image(spec, "no image to add a layer to")
    with store.adding(), stage("commit", container=container.id, reference=name):
        manifest, image = _base(store, spec)
        config = changed(_told(image.config, spec), config_changes)  # a bad one costs no reading
        layer, diff_id = await _layer_of(container, store, settings)
        history = History(
            created=_now(), created_by="firkin commit", author=author or None, comment=message or None
        )
        config = msgspec.structs.replace(
            config,
            created=_now(),
            author=author or config.author,
            diff_ids=(*config.diff_ids, diff_id),
            history=(*_history(image.config), history),
        )
        descriptor = await in_thread(partial(_put_image, store, manifest, layer, config))
        if not name:
            reference = reference.with_digest(descriptor.digest)
        await in_thread(partial(store.tag, reference, descriptor))
        return store.image(descriptor, config.platform)


def _base(store: Store, spec: ContainerSpec) -> tuple[Manifest, Image]:
    digest = Digest.parse(spec.image_digest)
    what = f"image {spec.image}"
    content = store.read_blob(digest)
    manifest = decode(content, "", what)
    if not isinstance(manifest, Manifest):
        raise ImageNotFound(
            f"{what} of container {spec.name!r} is not here", hint=f"firkin pull {spec.image}"
        )
    descriptor = Descriptor(manifest.media_type, digest, len(content))
    return manifest, store.local_images(descriptor)[0]


def _told(config: ImageConfig, spec: ContainerSpec) -> ImageConfig:
    """`config` with what the container was told, as Docker has it: a run of the image does the same again."""
    process, entrypoint = spec.process, config.entrypoint
    begins = process.args[: len(entrypoint)] == entrypoint
    known = {variable.partition("=")[0] for variable in config.env}
    env = (each for each in process.env if each.partition("=")[0] not in _OURS_ALONE - known)
    return msgspec.structs.replace(
        config,
        env=tuple(env),
        entrypoint=entrypoint if begins else (),
        cmd=process.args[len(entrypoint) :] if begins else process.args,
        working_dir=config.working_dir if process.cwd == "/" and not config.working_dir else process.cwd,
        user=process.user,
        labels=spec.labels,
        shell=() if spec.health is None else spec.health.shell,
        healthcheck=_check(spec),
        stop_signal=config.stop_signal if spec.stop_signal == signal.SIGTERM else str(spec.stop_signal),
    )


def _check(spec: ContainerSpec) -> ImageHealthCheck | None:
    """Its health check, unless that asks a port, which no image can say."""
    return None if spec.health is None or spec.health.port is not None else image_check(spec.health)


def _history(config: ImageConfig) -> tuple[History, ...]:
    """One line for each layer below: where the image has other ones, the lines are made up (config.md)."""
    layers = sum(1 for each in config.history if not each.empty_layer)
    return config.history if layers == len(config.diff_ids) else tuple(History() for _ in config.diff_ids)


async def _layer_of(container: Container, store: Store, settings: Settings) -> tuple[Descriptor, Digest]:
    """The blob of what changed in it, and the digest of what that uncompresses to."""
    if is_overlaid(container.spec):

        def put(archive: Iterator[bytes], below: FileSystem) -> tuple[Descriptor, Digest]:
            return _put_layer(store, upper_layer(archive, below, apart_from=OURS))

        return await written(container, settings, put)
    async with container.still():
        return await in_thread(partial(_put_layer, store, _changed(settings.paths, container)))


def _put_layer(store: Store, layer: Iterator[bytes]) -> tuple[Descriptor, Digest]:
    """The blob of `layer`, and the digest of what it uncompresses to."""
    hashed = hashlib.sha256()
    with store.ingest_unknown() as ingest:
        for piece in _gzipped(_metered(layer, hashed)):
            ingest.write(piece)
        digest = ingest.commit()
        return Descriptor(types.OCI_LAYER_GZIP, digest, ingest.offset), Digest(f"sha256:{hashed.hexdigest()}")


def _changed(paths: Paths, container: Container) -> Iterator[bytes]:
    spec, record = container.spec, Record(paths, container.id)
    if spec.isolation == "namespace":
        from firkin.engine.namespace_shape import lower_of
        from firkin.snapshot import tree_compare

        return tree_compare.layer(record, lower_of(paths, spec), OURS)
    return _layer(stack.of_image(paths, spec.rootfs_key, spec.image), stack.of_container(record))


def _layer(old: Stack, new: Stack) -> Iterator[bytes]:
    with Disk.open(new.layers, new.image) as disk:
        yield from layer_tar(changes(old, new, apart_from=OURS), FileSystem(disk, new.name))


def _metered(pieces: Iterator[bytes], hashed: hashlib._Hash) -> Iterator[bytes]:
    """`pieces`, hashed as they pass. Each MiB is told, so that a cancelled commit ends here."""
    done = told = 0
    for piece in pieces:
        hashed.update(piece)
        done += len(piece)
        if done - told >= _TOLD_EVERY_BYTES:
            told = done
            event("commit.progress", done=done)
        yield piece


def _gzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    from isal import isal_zlib

    packer = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, 31)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()


def _put_image(store: Store, base: Manifest, layer: Descriptor, config: ImageConfig) -> Descriptor:
    document = encode_config(config)
    described = Descriptor(types.OCI_CONFIG, store.put_blob(document), len(document))
    below = [
        Descriptor(_OCI.get(each.media_type, each.media_type), each.digest, each.size_bytes)
        for each in base.layers
    ]
    manifest = encode_manifest(Manifest(types.OCI_MANIFEST, described, (*below, layer)))
    return Descriptor(types.OCI_MANIFEST, store.put_blob(manifest), len(manifest))


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
