"""Mark and sweep: what no name, container or machine stands on any more is moved away, then deleted.

Under the exclusive lock things are only renamed into data/ingest, which takes microseconds each, so that
nobody who adds an image waits for the deleting. A crash leaves them there without a lock: the next sweep
deletes them.
"""

from __future__ import annotations

import os
import re
import stat
import uuid
from collections.abc import Set
from pathlib import Path

import msgspec

from firkin.linux.removal import remove_tree
from firkin.oci.digest import Digest
from firkin.paths import Paths
from firkin.store.ingest import lock_partial

_ANY = re.compile(r".+")
_BLOB = re.compile(r"[0-9a-f]{64}")
_ROOTFS = re.compile(r"([0-9a-f]{64})-.+")


class Reclaimed(msgspec.Struct, frozen=True):
    """What a sweep deleted. `bytes` counts what the disk got back, so a sparse file counts for its blocks."""

    blobs: int = 0
    rootfs: int = 0
    bytes: int = 0


class Marked(msgspec.Struct, frozen=True):
    """What is in use: blobs, the chain ids whose root file systems stay, and root file systems by their
    key.
    """

    blobs: Set[Digest]
    chain_ids: Set[Digest]
    rootfs_keys: Set[str]


def sweep(paths: Paths, marked: Marked) -> Reclaimed:
    """Move what is not marked into the ingest directory. The caller holds the exclusive lock."""
    blobs = [
        path for path in _entries(paths.blobs_dir, _BLOB) if Digest(f"sha256:{path.name}") not in marked.blobs
    ]
    rootfs = [path for path in _entries(paths.rootfs_dir, _ROOTFS) if not _stays(path.name, marked)]
    reclaimed = sum(map(disk_bytes, (*blobs, *rootfs))) - sum(map(_kept_bytes, rootfs))
    for path in (*rootfs, *blobs):
        path.rename(paths.ingest_dir / str(uuid.uuid4()))
    return Reclaimed(len(blobs), len(rootfs), reclaimed)


def delete_stale(paths: Paths) -> None:
    """Delete partials and swept things that nobody holds."""
    for path in _entries(paths.ingest_dir, _ANY):
        _delete(path)


def disk_bytes(path: Path) -> int:
    """What `path`, a file or a directory with what is in it, takes on the disk."""
    total, waiting = 0, [os.fspath(path)]
    while waiting:
        each = waiting.pop()
        try:
            found = os.lstat(each)
            total += found.st_blocks * 512
            if stat.S_ISDIR(found.st_mode):
                waiting += [os.path.join(each, name) for name in os.listdir(each)]
        except OSError:
            continue  # gone, of a subordinate id, or deeper than a path is long
    return total


def _kept_bytes(rootfs: Path) -> int:
    """What an overlay that was staged on this disk keeps of it, by a link of its own (engine.staged_file)."""
    try:
        found = os.lstat(rootfs / "image.ext4")
    except OSError:
        return 0
    return found.st_blocks * 512 if found.st_nlink > 1 else 0


def _stays(key: str, marked: Marked) -> bool:
    return key in marked.rootfs_keys or Digest(f"sha256:{key[:64]}") in marked.chain_ids


def _entries(directory: Path, form: re.Pattern[str]) -> list[Path]:
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return [directory / name for name in names if form.fullmatch(name)]


def _delete(path: Path) -> None:
    """Delete `path` unless a living writer holds it."""
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)  # another sweep may be at it too; the next one takes the rest
        return
    try:
        fd = lock_partial(path, create=False)
    except FileNotFoundError:
        return
    if fd is not None:
        try:
            path.unlink()
        finally:
            os.close(fd)
