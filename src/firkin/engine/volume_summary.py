"""Volumes, as a user sees them: made by name, listed, told of, and removed when nothing uses them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from firkin.container import volume_use
from firkin.container.journal import note_volume
from firkin.container.naming import new_id
from firkin.engine.timestamp import timestamp
from firkin.errors import FirkinError, UsageError, VolumeNotFound
from firkin.machine.qcow2 import MAX_SIZE_BYTES
from firkin.paths import Paths
from firkin.settings import Settings
from firkin.units import format_size, parse_size
from firkin.volume import record as volumes
from firkin.volume.mount import Driver
from firkin.volume.record import VolumeRecord

_DRIVERS: dict[str, Driver] = {"": "disk", "local": "disk", "disk": "disk", "dir": "dir"}
_OPTIONS = "size=10g, type=disk or type=dir, and device=/a/directory/of/this/host for type=dir"


class VolumeSummary(msgspec.Struct, frozen=True):
    """A volume, the names of the containers that list it, and what it takes on the disk."""

    record: VolumeRecord
    containers: tuple[str, ...]
    disk_bytes: int

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def driver(self) -> Driver:
        return self.record.driver

    @property
    def labels(self) -> dict[str, str]:
        return self.record.labels


def create(
    settings: Settings,
    name: str = "",
    *,
    driver: str = "",
    options: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> VolumeRecord:
    """A new volume; with a name that there is already, that one, where it is as asked for.

    Raises UsageError for what cannot be, NameInUse for a name whose volume is another, StorageFull.
    """
    wanted = _wanted(settings, name or new_id(), driver, dict(options or {}), dict(labels or {}))
    with volumes.table(settings.paths):
        with suppress(VolumeNotFound):
            found = volumes.find(settings.paths, wanted.name)
            alike = (found.driver, found.options, found.labels) == (
                wanted.driver,
                wanted.options,
                wanted.labels,
            )
            if alike:
                return found
        made = volumes.make(settings.paths, wanted)
    note_volume(settings.paths, "create", made.name, made.driver)
    return made


def _wanted(
    settings: Settings, name: str, driver: str, options: dict[str, str], labels: dict[str, str]
) -> VolumeRecord:
    volumes.check_name(name)
    chosen = _driver(driver or options.get("type", ""))
    if driver and _driver(options.get("type", driver)) != chosen:
        raise UsageError(f"volume: driver {driver} and type={options['type']}", hint="say it once")
    for key in options:
        if key not in ("size", "type", "device"):
            raise UsageError(f"volume: option {key!r} cannot be honoured", hint=f"known are {_OPTIONS}")
    size_bytes = _size(settings, options, chosen)
    path = _directory(options, chosen)
    return volumes.new_record(
        name, driver=chosen, size_bytes=size_bytes, path=path, options=options, labels=labels
    )


def _driver(word: str) -> Driver:
    if word not in _DRIVERS:
        raise UsageError(
            f"volume: {word!r} is not a driver",
            hint="choose disk (also called local) or dir: firkin volume create",
        )
    return _DRIVERS[word]


def _size(settings: Settings, options: dict[str, str], driver: Driver) -> int:
    if "size" not in options:
        return settings.disk_bytes if driver == "disk" else 0
    if driver == "dir":
        raise UsageError(
            "volume: a directory of this host has no size of its own",
            hint="leave out -o size, or --driver dir",
        )
    size_bytes = parse_size(options["size"])
    if not volumes.MIN_BYTES <= size_bytes <= MAX_SIZE_BYTES:
        raise UsageError(
            f"volume: size {options['size']} is out of range",
            hint=f"choose from {format_size(volumes.MIN_BYTES)} to {format_size(MAX_SIZE_BYTES)}",
        )
    return size_bytes


def _directory(options: dict[str, str], driver: Driver) -> str:
    path = options.get("device", "")
    if path and driver != "dir":
        raise UsageError("volume: device is for type=dir", hint="add -o type=dir, or leave it out")
    if path and not (os.path.isabs(path) and os.path.isdir(path)):
        raise UsageError(
            f"volume: device {path} is not a directory of this host",
            hint="give an absolute path, and make it first",
        )
    return os.path.normpath(path) if path else ""


def summaries(paths: Paths, unreadable: Callable[[FirkinError], object] | None = None) -> list[VolumeSummary]:
    """All volumes, by name. One that cannot be read raises Corrupt, or is told `unreadable`."""
    found, listed = [], volume_use.all_listed(paths)
    for name in volumes.everyone(paths):
        try:
            found.append(_summary(paths, volumes.find(paths, name), listed))
        except VolumeNotFound:
            continue  # removed since they were listed
        except FirkinError as error:
            if unreadable is None:
                raise
            unreadable(error)
    return found


def summary(paths: Paths, name: str) -> VolumeSummary:
    """The volume of that name. Raises VolumeNotFound, Corrupt."""
    return _summary(paths, volumes.find(paths, name), volume_use.all_listed(paths))


def _summary(paths: Paths, record: VolumeRecord, listed: dict[str, list[str]]) -> VolumeSummary:
    used = tuple(listed.get(record.name, ()))
    return VolumeSummary(record, used, volumes.used_bytes(paths.volume_dir(record.name)))


def mountpoint(paths: Paths, record: VolumeRecord) -> Path:
    """Where on this host what it holds is: its disk's file, or its directory."""
    return volumes.disk_path(paths, record.name) if record.driver == "disk" else Path(record.path)


def facts(paths: Paths, name: str) -> dict[str, Any]:
    """What `firkin volume inspect` prints, with Docker's names. Raises VolumeNotFound, Corrupt."""
    found = summary(paths, name)
    record = found.record
    return {
        "Name": record.name,
        "Driver": record.driver,
        "Mountpoint": str(mountpoint(paths, record)),
        "CreatedAt": timestamp(record.created_ns),
        "Labels": dict(record.labels),
        "Options": dict(record.options),
        "Scope": "local",
        "Size": record.size_bytes,
        "Anonymous": bool(record.made_for),
        "Containers": list(found.containers),
        "UsageData": {"Size": found.disk_bytes, "RefCount": len(found.containers)},
    }


def prune(
    paths: Paths, *, all: bool = False, wanted: Callable[[VolumeSummary], bool] = lambda _: True
) -> tuple[list[str], int]:
    """Remove the volumes that no container lists and nobody named; with `all` also named ones. What went, and
    the bytes given back. Raises Corrupt where a container cannot be read: it might list any.
    """
    volume_use.sweep(paths)
    gone: list[str] = []
    given_back = 0
    for found in summaries(paths, unreadable=lambda _: None):
        if found.containers or not wanted(found) or not (all or found.record.made_for):
            continue
        try:
            given_back += volume_use.remove(paths, found.record.name)
        except FirkinError:
            continue  # somebody uses it since
        gone.append(found.record.name)
    return gone, given_back
