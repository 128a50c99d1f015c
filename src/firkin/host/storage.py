"""Storage: the file system that images and containers are kept on.

The rule: a file system that may hang (a network's) is judged by its mount alone, and not asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from firkin.faults import files
from firkin.faults.fault import Finding
from firkin.host import podman_storage, reading
from firkin.host.asker import Asker
from firkin.units import format_size

ENOUGH_BYTES = 1 << 30
ENOUGH_INODES = 10_000
_NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "coda",
    "glusterfs",
    "lustre",
    "ncpfs",
    "gfs2",
}


class Disk(msgspec.Struct, frozen=True):
    """What a path lies on. Bytes and inodes are what a user may still take, None where not asked."""

    path: str
    kind: str = "ext4"
    mount: str = "/"
    noexec: bool = False
    writable: bool = True
    free_bytes: int | None = None
    free_inodes: int | None = None

    @property
    def remote(self) -> bool:
        return self.kind in _NETWORK

    @property
    def fuse(self) -> bool:
        return self.kind == "fuse" or self.kind.startswith("fuse.")


class Facts(msgspec.Struct, frozen=True):
    """Our own disk, and podman's where that is another one."""

    disks: tuple[Disk, ...] = ()


def disk_of(asker: Asker, path: Path) -> Disk:
    mount = asker.mount_of(path)
    disk = Disk(str(path)) if mount is None else Disk(str(path), mount.kind, mount.target)
    if disk.remote or disk.fuse:
        return disk
    there = reading.existing(path)
    status = os.statvfs(there)
    return msgspec.structs.replace(
        disk,
        noexec=bool(status.f_flag & os.ST_NOEXEC),
        writable=os.access(there, os.W_OK | os.X_OK) and not status.f_flag & os.ST_RDONLY,
        free_bytes=status.f_bavail * status.f_frsize,
        free_inodes=status.f_favail if status.f_files else None,  # some kinds do not count them
    )


def gather(asker: Asker) -> Facts:
    ours = disk_of(asker, Path(asker.settings.data_dir))
    store = Path(podman_storage.gather(asker).store) if asker.tools else None
    if store is None or not store.exists():
        return Facts((ours,))
    podmans = disk_of(asker, store)
    return Facts((ours,) if podmans.mount == ours.mount else (ours, podmans))


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    for disk in facts.disks:
        yield from _of_disk(asker, disk)


def _of_disk(asker: Asker, disk: Disk) -> Iterator[Finding]:
    path, words = disk.path, {"path": disk.path, "mount": disk.mount, "user": asker.user}
    if not disk.writable:
        yield files.DATA_UNWRITABLE.found(f"{path} cannot be written by {asker.user}", **words)
    if disk.remote:
        yield files.DATA_NETWORK.found(f"{path} lies on a network file system ({disk.kind})", **words)
    if disk.fuse:
        yield files.DATA_FUSE.found(f"{path} lies on a FUSE file system ({disk.kind})", **words)
    if disk.kind in ("tmpfs", "ramfs"):
        yield files.DATA_IN_MEMORY.found(f"{path} lies in memory ({disk.kind})", **words)
    if disk.noexec:
        yield files.DATA_NOEXEC.found(f"{path} lies on {disk.mount}, mounted noexec", **words)
    if disk.free_bytes is not None and disk.free_bytes < ENOUGH_BYTES:
        yield files.DATA_SPACE.found(
            f"{format_size(disk.free_bytes)} are left on the disk of {path}", **words
        )
    if disk.free_inodes is not None and disk.free_inodes < ENOUGH_INODES:
        yield files.DATA_INODES.found(f"{disk.free_inodes} inodes are left on the disk of {path}", **words)
