"""SnapshotMoves: snapshots leave this host, and come to it, as archives or by way of a registry.

What comes has to meet the policy (policy.json) before a byte of it is kept, and to be sound before it is
listed. Its blobs are needed only while it is packed or unpacked: a sweep follows.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from firkin.aio.thread import in_thread
from firkin.engine.image_names import lookup
from firkin.engine.image_push import Pushed, parsed_destination
from firkin.engine.image_push import push as push_image
from firkin.engine.images import Images
from firkin.engine.whole_file import whole_file
from firkin.errors import ImageNotFound, ReferenceSyntaxError, SnapshotNotFound, UsageError
from firkin.oci.descriptor import Descriptor
from firkin.settings import Settings
from firkin.snapshot.record import Snapshot, find
from firkin.store.store import Store

if TYPE_CHECKING:
    from firkin.trust.key import PrivateKey

_CHUNK_BYTES = 1 << 20


async def export(settings: Settings, name: str, target: str | Path | BinaryIO) -> Snapshot:
    """Write the snapshot `name` to `target`, a path or a stream, as an OCI archive; the file appears whole.

    Raises SnapshotNotFound, Corrupt, UsageError, StorageFull.
    """
    from firkin.snapshot.oci_archive import NAME_KEY, write_archive

    images = Images(settings)
    with images.store.adding():
        snapshot, manifest = await _packed(images, settings, name)

        def work() -> None:
            with whole_file(target) as file:
                write_archive(file, images.store, [(manifest, {NAME_KEY: snapshot.name})])

        await in_thread(work)
    await images.sweep()
    return snapshot


async def import_archive(settings: Settings, source: str | Path | BinaryIO, name: str = "") -> Snapshot:
    """The snapshot in the OCI archive `source`, a path or a stream, on record under `name`, else under its
    own.

    Raises Untrusted, UnsupportedMediaType, Corrupt, DigestMismatch, Misfit, NameInUse, UsageError,
    StorageFull; then no snapshot is there.
    """
    from firkin.engine.trusting import check_archive
    from firkin.snapshot.oci_archive import read_archive
    from firkin.snapshot.unpack import unpack
    from firkin.trust.subject import Subject

    subject = (
        Subject.of_oci_archive(source)
        if isinstance(source, str | Path)
        else Subject("oci-archive", (), None, "the archive from standard input")
    )
    check_archive(settings, subject)
    images = Images(settings)

    def work() -> Snapshot:
        with _opened(source) as stream:
            manifest = read_archive(iter(partial(stream.read, _CHUNK_BYTES), b""), images.store, subject.what)
        return unpack(settings.paths, images.store, manifest, name=name)

    try:
        with images.store.adding():
            return await in_thread(work)
    finally:
        await images.sweep()


async def push(
    settings: Settings,
    name: str,
    destination: str = "",
    *,
    platform: str = "",
    key: PrivateKey | None = None,
) -> Pushed:
    """Push the local image `name`, see image_push.push(); where there is none, the snapshot of that name."""
    store = Store(settings.paths)
    try:
        lookup(store, name)
    except (ImageNotFound, ReferenceSyntaxError) as error:
        try:
            find(settings.paths, name)
        except (SnapshotNotFound, UsageError):
            raise error from None
        return await push_snapshot(settings, name, destination, key=key)
    return await push_image(settings, store, name, destination, platform=platform, key=key)


async def push_snapshot(
    settings: Settings, name: str, destination: str, *, key: PrivateKey | None = None
) -> Pushed:
    """Push the snapshot `name` as `destination`, signed by `key`, where there is one.

    Raises SnapshotNotFound, UsageError, and what image_push.push raises.
    """
    from firkin.registry.client import RegistryClient

    if not destination:
        raise UsageError(f"snapshot {name} has no place yet", hint=f"firkin push {name} HOST/NAME:TAG")
    target = parsed_destination(name, destination)
    images = Images(settings)
    with images.store.adding():
        _, manifest = await _packed(images, settings, name)
        async with RegistryClient(settings) as client:
            await client.push(target, manifest, images.store)
            if key is not None:
                from firkin.engine.image_sign import sign

                await sign(client, target, manifest, images.store, key)
    await images.sweep()
    return Pushed(str(target), str(manifest.digest), manifest.size_bytes)


async def _packed(images: Images, settings: Settings, name: str) -> tuple[Snapshot, Descriptor]:
    from firkin.snapshot.pack import pack

    snapshot = find(settings.paths, name)
    return snapshot, await in_thread(partial(pack, settings.paths, images.store, snapshot))


def _opened(source: str | Path | BinaryIO) -> AbstractContextManager[BinaryIO]:
    if not isinstance(source, str | Path):
        return nullcontext(source)
    try:
        return open(source, "rb")
    except OSError as error:
        hint = "name an archive of a snapshot, or - for stdin"
        raise UsageError(f"cannot read {source}: {error.strerror}", hint=hint) from error
