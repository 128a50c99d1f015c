"""VolumeUse: which containers list which volumes, and what goes with a container.

The rule: a volume that a container lists stays, whether that runs or not; and a disk is one machine's at a
time, also while that machine is saved and not running.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import msgspec

from firkin.container.journal import note_volume
from firkin.container.naming import is_id
from firkin.container.record import Record, Suspended, records
from firkin.container.spec import ContainerSpec
from firkin.container.storage import Storage
from firkin.errors import ContainerNotFound, FirkinError, InUse
from firkin.events import event
from firkin.paths import Paths
from firkin.volume import record as volumes
from firkin.volume.record import VolumeRecord


class User(NamedTuple):
    """A container that lists a volume."""

    record: Record
    spec: ContainerSpec


def users(paths: Paths, name: str) -> list[User]:
    """The containers that list the volume `name`. Raises Corrupt where one cannot be read: it might."""
    return [user for user in _everyone(paths) if name in _listed(user.spec.storage)]


def all_listed(paths: Paths) -> dict[str, list[str]]:
    """The names of the containers that list each volume, by its name. Raises Corrupt."""
    found: dict[str, list[str]] = {}
    for user in _everyone(paths):
        for name in _listed(user.spec.storage):
            found.setdefault(name, []).append(user.spec.name)
    return {name: sorted(containers) for name, containers in found.items()}


def check_free(paths: Paths, spec: ContainerSpec) -> None:
    """Raise InUse where another container has one of the disks of `spec` now.

    Called again once its own machine holds the disks: whoever suspends one puts that on record before its
    machine lets go of them.
    """
    for mount in spec.storage.disks:
        if mount.anonymous:
            continue
        for user in users(paths, mount.name):
            if user.spec.id == spec.id:
                continue
            suspended = False
            with suppress(ContainerNotFound):
                suspended = isinstance(user.record.state(), Suspended)
            if suspended or user.record.is_alive():
                raise _in_use(mount.name, spec.name, user.spec.name, suspended=suspended)


def _in_use(volume: str, wanted_by: str, user: str, *, suspended: bool) -> InUse:
    how = "suspended" if suspended else "running"
    return InUse(
        f"volume {volume!r} cannot be had by container {wanted_by!r}: the {how} container {user!r} has it",
        hint=f"its disk is for one machine at a time: stop {user!r} first, or share a directory: "
        "firkin volume create --driver dir",
    )


def remove(paths: Paths, name: str, *, force: bool = False) -> int:
    """Remove the volume of that name; the bytes given back. With `force` also one that cannot be read.

    Raises VolumeNotFound, Corrupt, InUse, which names the containers that list it.
    """
    with volumes.table(paths):
        driver = "" if force else volumes.find(paths, name).driver
        used_by = [user.spec.name for user in users(paths, name)]
        if used_by:
            raise InUse(
                f"volume {name!r} is used by {_containers(used_by)}", hint="remove them first: firkin rm"
            )
        given_back = volumes.remove(paths, name)
    note_volume(paths, "destroy", name, driver)
    return given_back


def remove_container(record: Record) -> None:
    """Delete the record of a container, and what ends with it. The owner's, once nothing runs.

    A crash in between leaves volumes that the next sweep() removes.
    """
    mounts: tuple[str, ...] = ()
    with suppress(FirkinError):
        mounts = tuple(each.name for each in record.spec().storage.volumes if each.anonymous)
    record.remove()
    if mounts:
        sweep(record.paths)


def let_end(paths: Paths, spec: ContainerSpec) -> None:
    """Let the volumes that were made with the container of `spec` go when it is removed."""
    anonymous = [each.name for each in spec.storage.volumes if each.anonymous]
    if not anonymous:
        return
    with volumes.table(paths):
        for name in anonymous:
            volumes.change(paths, msgspec.structs.replace(volumes.find(paths, name), ends_with=True))


def sweep(paths: Paths) -> None:
    """Remove the volumes whose container is gone, where they were to go with it or were never used, and what
    was left half made or removed. Never raises: what cannot be removed now, the next one does.
    """
    if not paths.volumes_dir.is_dir():
        return
    try:
        with volumes.table(paths):
            volumes.sweep(paths)
            for volume in _orphans(paths):
                if not users(paths, volume.name):
                    volumes.remove(paths, volume.name)
                    note_volume(paths, "destroy", volume.name, volume.driver)
    except FirkinError as error:
        event("volumes.not_swept", reason=str(error))


def _orphans(paths: Paths) -> Iterator[VolumeRecord]:
    for name in volumes.everyone(paths):
        with suppress(FirkinError):
            volume = volumes.find(paths, name)
            if not is_id(volume.made_for) or paths.container_dir(volume.made_for).is_dir():
                continue
            if volume.ends_with or not volumes.disk_path(paths, name).exists():
                yield volume


def _everyone(paths: Paths) -> Iterator[User]:
    for found in records(paths):
        try:
            yield User(found, found.spec())
        except ContainerNotFound:
            continue  # removed since they were listed


def _listed(storage: Storage) -> set[str]:
    return {each.name for each in storage.volumes}


def _containers(names: list[str]) -> str:
    return f"the container{'s' if len(names) > 1 else ''} {', '.join(sorted(names))}"
