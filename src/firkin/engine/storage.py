"""Storage: the volumes that a container gets, made where they are missing, and their disks ready for it.

wished()  what was asked for, and what the image declares beside that
made()    the volumes on record, the missing ones made; undone where the container does not come to be
ready()   their disks whole, filled at their first use
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from firkin.container import volume_use
from firkin.container.journal import note_volume
from firkin.container.layers import base_path
from firkin.container.naming import new_id
from firkin.container.record import Record
from firkin.container.spec import ContainerSpec
from firkin.container.storage import Storage
from firkin.engine import device_words
from firkin.engine.volumes import container_path
from firkin.errors import Corrupt, UsageError, VolumeNotFound
from firkin.machine.spec import Disk
from firkin.paths import Paths
from firkin.volume import contents
from firkin.volume import record as volumes
from firkin.volume.mount import VolumeMount

MAX_DISKS = 16
"""Of one container: a machine has places for 24 devices in all."""


def wished(storage: Storage, taken: set[str], declared: tuple[str, ...], image: str) -> Storage:
    """What the container is to have: `storage`, and a volume at each place that the image declares and where
    nothing else is mounted (`taken`).
    """
    more = []
    for path in dict.fromkeys(_declared(each, image) for each in declared):
        if path not in taken:
            more.append(VolumeMount(target=path))
    return msgspec.structs.replace(storage, volumes=(*storage.volumes, *more))


def _declared(path: str, image: str) -> str:
    try:
        return container_path("VOLUME", path)
    except UsageError as error:
        raise Corrupt(f"image {image} declares a volume that cannot be: {error}") from error


def inherited(storage: Storage) -> Storage:
    """What a container that starts from a snapshot is to have: the named volumes, and new ones in the places
    of those that were made with the one that it was taken of.
    """
    return msgspec.structs.replace(
        storage,
        volumes=tuple(
            msgspec.structs.replace(each, name="", driver="disk", path="") if each.anonymous else each
            for each in storage.volumes
        ),
    )


@contextmanager
def made(
    paths: Paths, storage: Storage, container_id: str, *, size_bytes: int, ends_with: bool
) -> Iterator[Storage]:
    """`storage` with its volumes on record; nobody removes one in the block, in which the container that
    lists them is put on record. New ones get disks of `size_bytes`. What was made for it is gone again where
    the block fails.

    Raises UsageError, Corrupt, StorageFull.
    """
    if not storage.volumes:
        yield storage
        return
    new: list[str] = []
    with volumes.table(paths):
        try:
            found = []
            for mount in storage.volumes:
                volume = _record(paths, mount, size_bytes, container_id, ends_with, new)
                found.append(_of(mount, volume))
            settled = msgspec.structs.replace(storage, volumes=tuple(found))
            _check_disks(settled)
            yield settled
            for mount in settled.volumes:
                if mount.name in new:
                    note_volume(paths, "create", mount.name, mount.driver)
        except BaseException:
            for name in new:
                volumes.remove(paths, name)
            raise


def _record(
    paths: Paths, mount: VolumeMount, size_bytes: int, made_for: str, ends_with: bool, new: list[str]
) -> volumes.VolumeRecord:
    if mount.name:
        try:
            return volumes.find(paths, mount.name)
        except VolumeNotFound:
            volume = volumes.new_record(mount.name, size_bytes=size_bytes)
    else:
        volume = volumes.new_record(new_id(), size_bytes=size_bytes, made_for=made_for, ends_with=ends_with)
    new.append(volume.name)
    return volumes.make(paths, volume)


def _of(mount: VolumeMount, volume: volumes.VolumeRecord) -> VolumeMount:
    return msgspec.structs.replace(
        mount,
        name=volume.name,
        driver=volume.driver,
        path=volume.path,
        anonymous=mount.anonymous or not mount.name,
    )


def _check_disks(storage: Storage) -> None:
    if len(storage.disks) + len(storage.devices) > MAX_DISKS:
        raise UsageError(
            f"volume: {len(storage.disks)} volumes with disks of their own and {len(storage.devices)} "
            f"devices are more than {MAX_DISKS}",
            hint="put several directories into one, or make some with: firkin volume create --driver dir",
        )
    names = [each.name for each in storage.disks]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"volume: {name!r} is given twice, and its disk can only be in one place",
                hint="mount it once, or make it with: firkin volume create --driver dir",
            )


def as_disks(spec: ContainerSpec, paths: Paths) -> tuple[Disk, ...]:
    """The disks of `spec` behind its root's: its writable layer, its volumes, its devices."""
    layer: tuple[Disk, ...] = ()
    if spec.root.layer is not None:
        from firkin.container.writable_layer import layer_disk

        layer = (layer_disk(paths, spec),)
    volumes_ = (contents.as_disk(paths, mount) for mount in spec.storage.disks)
    return (*layer, *volumes_, *(device.disk for device in spec.storage.devices))


def is_ready(paths: Paths, spec: ContainerSpec) -> bool:
    """Whether its machine can have them at once. Raises OSError."""
    if spec.root.layer is not None or spec.storage.devices:
        return False  # they are looked at first
    return all(contents.is_ready(paths, mount) for mount in spec.storage.volumes)


def make_ready(record: Record, spec: ContainerSpec) -> None:
    """Make what is missing of them. May take long. Raises InUse, VolumeNotFound, StorageFull, Corrupt."""
    volume_use.check_free(record.paths, spec)
    device_words.found(spec.storage.devices)
    if spec.root.layer is not None:
        from firkin.container import writable_layer

        writable_layer.make_ready(record.paths, spec)
    for mount in spec.storage.volumes:
        contents.make_ready(record.paths, mount, base_path(record.paths, spec))
