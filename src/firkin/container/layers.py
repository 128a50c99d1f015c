"""Layers: a container's disk is what it writes now, above what was frozen for snapshots, above its image.

    containers/<id>/disk.json       DiskRecord: which file is the top, and the layers below it, next one first
    containers/<id>/disk*.qcow2     the top, the only one that is written
    data/disks/<id>.qcow2           a layer, shared by every container and snapshot that lists it
    data/rootfs/<key>/image.ext4    the image, below the last layer

A disk changes by the replacement of its disk.json. A crash before that leaves a link in disks/ that nobody
lists and a top that is none, a crash after it the old top: the sweep and the next change take them away. The
machine of a container whose owner died there still writes to what is a layer by then, and reads the same.

The rule: a file goes only when no record lists it, and whoever has layers that nobody lists yet (from reading
a record to writing another) holds the data lock, as for images: Store.adding().
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Set
from pathlib import Path

import msgspec

from firkin.container import record as records
from firkin.container.disk import DiskRecord
from firkin.container.naming import is_id, new_id
from firkin.container.record import Record
from firkin.container.spec import ContainerSpec
from firkin.errors import ContainerNotFound, Corrupt, UsageError
from firkin.machine.qcow2 import create_overlay, overlay_clusters
from firkin.machine.spec import Disk
from firkin.paths import Paths
from firkin.store.files import disk_errors, sync_dir, sync_file
from firkin.store.lock import locked

MAX_LAYERS = 100
"""Each costs the machine descriptors and its reads a look."""
_SUFFIX, _GONE = ".qcow2", ".gone"
_LOCK_DEADLINE_S = 10.0


def image_path(paths: Paths, rootfs_key: str) -> Path:
    """The image under all layers."""
    return paths.rootfs_dir / rootfs_key / "image.ext4"


def base_path(paths: Paths, spec: ContainerSpec) -> Path:
    """What lies under all layers of a container's disk: its image, or the file that it was given."""
    return image_path(paths, spec.rootfs_key) if spec.root.file is None else Path(spec.root.file.path)


def ready(record: Record) -> Disk:
    """The disk of a container's root for its machine; its top is made where it has none yet. The owner's.

    Raises Corrupt where a layer is missing or a file of the user's was changed, StorageFull, and what
    root_file.examined() raises.
    """
    spec, disk = record.spec(), record.disk()
    file = spec.root.file
    if file is not None:
        from firkin.container.root_file import check_unchanged

        check_unchanged(file)
    if spec.root.layer is not None or (file is not None and file.writable):
        return Disk(
            path=base_path(record.paths, spec),
            format="raw",
            readonly=spec.root.layer is not None,
            held_as="" if file is None else file.called,
            on_device=file is not None and file.device,
        )
    top = record.dir / disk.top
    if not top.exists():
        new = _new_top(record, "disk.new", disk.layers, spec.disk_bytes)
        with disk_errors(top):
            new.rename(top)
    return Disk(
        path=top,
        format="qcow2",
        layers=present(record.paths, disk.layers),
        backing=base_path(record.paths, spec),
        backing_held_as="" if file is None else file.called,
        on_device=file is not None and file.device,
    )


def freeze(record: Record) -> DiskRecord:
    """Make what was written to the disk so far its first layer, under an empty top. The owner's.

    A running machine goes on writing to the layer until it is switched to the new top; only then may a
    snapshot list the layer. Without a machine, a top that nothing was written to stays. The caller holds
    Store.adding(). Raises UsageError for too many layers, StorageFull, Corrupt.
    """
    spec = record.spec()
    if spec.root.layer is not None:
        raise UsageError(
            f"container {spec.name!r} writes to a writable layer, and has no disk above its root to keep",
            hint="without --writable-layer it has one; `firkin export` gives all of its files",
        )
    if (own := spec.root.in_place) is not None:
        raise UsageError(
            f"container {spec.name!r} writes to {own.called} itself, and has no disk of its own to keep",
            hint="without :rw it has one above that",
        )
    disk, top, size_bytes = record.disk(), ready(record).path, spec.disk_bytes
    if not record.is_alive() and _is_untouched(top, size_bytes):
        return disk
    if len(disk.layers) >= MAX_LAYERS:
        raise UsageError(
            f"the disk of container {record.id[:12]} has {MAX_LAYERS} layers already",
            hint="no more snapshots can be made of it; copy what matters to a new container",
        )
    layer = new_id()
    path = record.paths.layer_path(layer)
    with disk_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_file(top)
        os.link(top, path)
        sync_dir(path.parent)
    frozen = _replace(record, msgspec.structs.replace(disk, layers=(layer, *disk.layers)))
    with disk_errors(path):
        path.chmod(0o400)
    return frozen


def reset(record: Record, layers: tuple[str, ...], parent: str) -> DiskRecord:
    """Let the disk of a container without a machine be what `layers` hold; what it was is lost. The owner's.

    The caller holds Store.adding() since it read who lists them. Raises Corrupt where a layer is missing.
    """
    return _replace(record, DiskRecord(layers=layers, parent=parent))


def present(paths: Paths, layers: Iterable[str]) -> tuple[Path, ...]:
    """The files of `layers`. Raises Corrupt where one is missing."""
    found = tuple(map(paths.layer_path, layers))
    for path in found:
        if not path.exists():
            raise Corrupt(f"the layer {path} of a disk is missing", hint="what stands on it is of no use now")
    return found


def disk_bytes(paths: Paths, layers: Iterable[str]) -> int:
    """What `layers` take on the disk."""
    return sum(path.stat().st_blocks * 512 for path in present(paths, layers))


def written_bytes(record: Record) -> tuple[int, int]:
    """What a container's own writes take on the disk, with its layers, and what its image takes."""
    disk = record.disk()
    above = (record.dir / disk.top, record.dir / "layer.ext4", *map(record.paths.layer_path, disk.layers))
    return sum(map(_taken, above)), _taken(base_path(record.paths, record.spec()))


def _taken(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def sweep(paths: Paths, listed: Callable[[], Set[str]], *, deadline_s: float = _LOCK_DEADLINE_S) -> int:
    """Delete the layers that no container lists, nor `listed()`, called under the lock; the bytes given back.

    Raises InUse where somebody is still adding after `deadline_s`; Corrupt where a record cannot be read,
    since it might list anything: nothing is deleted then.
    """
    if not paths.disks_dir.is_dir():
        return 0
    what = "images or snapshots are being added by another process"
    with locked(paths.lock_path, shared=False, deadline_s=deadline_s, what=what):
        marked = _listed_by_containers(paths) | listed()
        with disk_errors(paths.disks_dir):
            for path in paths.disks_dir.glob(f"*{_SUFFIX}"):
                if is_id(path.stem) and path.stem not in marked:
                    path.rename(path.with_suffix(_GONE))
    return sum(map(_delete, paths.disks_dir.glob(f"*{_GONE}")))


def _replace(record: Record, disk: DiskRecord) -> DiskRecord:
    """Put `disk` on record, with a new empty top; the old one is none any more."""
    disk = msgspec.structs.replace(disk, top=f"disk.{os.urandom(8).hex()}{_SUFFIX}")
    top = _new_top(record, disk.top, disk.layers, record.spec().disk_bytes)
    with disk_errors(top):
        sync_file(top)
    record.set_disk(disk)
    with disk_errors(record.dir):
        for path in record.dir.glob(f"disk*{_SUFFIX}"):
            if path.name != disk.top:
                path.unlink()
    return disk


def _new_top(record: Record, name: str, layers: tuple[str, ...], size_bytes: int) -> Path:
    """An empty overlay over `layers`, in place of anything that has that name."""
    path = record.dir / name
    with disk_errors(path):
        path.unlink(missing_ok=True)
    if layers:
        create_overlay(path, present(record.paths, layers)[0], size_bytes, backing_format="qcow2")
    else:
        spec = record.spec()
        least = None if spec.root.file is None else spec.root.file.size_bytes
        create_overlay(path, base_path(record.paths, spec), size_bytes, backing_bytes=least)
    return path


def _is_untouched(top: Path, size_bytes: int) -> bool:
    return top.stat().st_size == overlay_clusters("", size_bytes)[-1][0]


def _listed_by_containers(paths: Paths) -> set[str]:
    listed: set[str] = set()
    for record in records.records(paths):
        try:
            listed.update(record.disk().layers)
        except ContainerNotFound:
            continue  # removed since they were listed
    return listed


def _delete(path: Path) -> int:
    try:
        stat = path.stat()
        path.unlink()
    except FileNotFoundError:  # another sweep was faster
        return 0
    return stat.st_blocks * 512 if stat.st_nlink == 1 else 0
