"""The first content of volumes: what the image has where they are mounted, as Docker copies it.

The rule: a volume gets it whole or not at all, before a machine sees it; one that holds anything is left as
it is. What reads and writes file systems is loaded where one is: a start without volumes does without.
"""

from __future__ import annotations

import os
from pathlib import Path

from firkin.errors import InUse
from firkin.machine.held_disk import hold
from firkin.machine.spec import Disk
from firkin.paths import Paths
from firkin.store.files import disk_errors, sync_dir
from firkin.store.lock import locked
from firkin.volume import record as volumes
from firkin.volume.mount import VolumeMount

_DEADLINE_S = 600.0


def as_disk(paths: Paths, mount: VolumeMount) -> Disk:
    """The disk of a volume for a machine."""
    called = f"volume {mount.name!r}"
    return Disk(path=volumes.disk_path(paths, mount.name), format="raw", held_as=called)


def is_ready(paths: Paths, mount: VolumeMount) -> bool:
    """Whether a volume is as it is to be mounted. Raises OSError."""
    if mount.driver == "dir":
        return not mount.copy or _is_filled(mount)
    path = volumes.disk_path(paths, mount.name)
    if not (path.exists() and mount.copy):
        return path.exists()
    from firkin.volume import disk as disks

    return not disks.is_empty(path)


def _is_filled(mount: VolumeMount) -> bool:
    from firkin.volume.directory import is_filled

    return is_filled(Path(mount.path))


def make_ready(paths: Paths, mount: VolumeMount, image_path: Path) -> None:
    """Make the disk of a volume, or make it anew where it holds nothing, with what the image has there; a
    directory that holds nothing is filled with that, too.

    Raises VolumeNotFound, StorageFull, Corrupt, InUse where a machine has it.
    """
    from firkin.volume import disk as disks

    volume, path = volumes.find(paths, mount.name), volumes.disk_path(paths, mount.name)
    what = f"volume {mount.name!r} is being filled by another process"
    with locked(path.with_name("making"), shared=False, deadline_s=_DEADLINE_S, what=what):
        with disk_errors(path):
            if is_ready(paths, mount):
                return
        if mount.driver == "dir":
            _fill(Path(mount.path), path.with_name("data"), image_path, mount.target)
            return
        source = image_path if mount.copy else None
        if not path.exists():
            _write(path, volume.size_bytes, source, mount.target)
        elif source is not None and disks.has_content(source, mount.target):
            _write_anew(paths, mount, volume.size_bytes, source)


def _fill(directory: Path, own: Path, image_path: Path, at: str) -> None:
    from firkin.volume.directory import fill

    fill(directory, image_path, at, own=directory == own)


def _write_anew(paths: Paths, mount: VolumeMount, size_bytes: int, source: Path) -> None:
    from firkin.volume import disk as disks

    fd = hold(as_disk(paths, mount))
    try:
        path = volumes.disk_path(paths, mount.name)
        if not disks.is_empty(path):  # a machine had it since
            raise InUse(f"volume {mount.name!r} was in use just now", hint="try again")
        _write(path, size_bytes, source, mount.target)
    finally:
        os.close(fd)


def _write(path: Path, size_bytes: int, source: Path | None, at: str) -> None:
    from firkin.volume import disk as disks

    new = path.with_name("disk.new")
    try:
        with disk_errors(path):
            new.unlink(missing_ok=True)
            disks.write_disk(new, size_bytes, source, at)
            new.rename(path)
            sync_dir(path.parent)
    finally:
        new.unlink(missing_ok=True)
