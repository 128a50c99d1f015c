"""Trees: an image's layers as a directory, once for each chain of layers and id map.

    rootfs/<chain id>-tree-<map>-<version>/
      root/                     what a container sees as /, owned by the host's ids of its map; never changed
      tree.json                 the record

It is made beside by a process in the storage namespace, since only that may give files to subordinate ids,
and appears whole, by rename, verified and synced. A crash at any line leaves a `.build-` directory, which the
next build that finds its lock free removes, in that namespace too.

Device nodes are made by the host's root alone: no user namespace may (mknod(2)). Others are left out, as by
podman: a container gets its devices from its runtime, not from its image. What was left out is on record.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from firkin import errors
from firkin.decoder import json_decoder
from firkin.errors import FirkinError, HostUnsupported
from firkin.events import event, stage
from firkin.linux import storage_namespace
from firkin.linux.id_map import IdMap
from firkin.linux.removal import remove_tree
from firkin.oci.image import Layer, chain_id
from firkin.rootfs.lock import locked
from firkin.rootfs.record import OpenBlob
from firkin.rootfs.tree_job import MODULE, Answer, Failed, Job, LayerFile, Made, Progress

TREE_VERSION = 1
"""Goes up whenever the same layers would give another tree."""

_MOST_ANSWER_BYTES = 1 << 16


class RootTree(msgspec.Struct, frozen=True):
    """A finished tree: `path` is its root, shared by all who run it, and not to be written to."""

    key: str
    path: Path


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """tree.json. `left_out`: the first of `left_out_count` things that could not be made here."""

    key: str
    chain_id: str
    digests: tuple[str, ...]
    id_map: IdMap
    tree_version: int
    names: int
    left_out: tuple[str, ...] = ()
    left_out_count: int = 0


def key_of(layers: Sequence[Layer], id_map: IdMap) -> str:
    """<chain id>-tree-<map>-<version>: the name of the tree that `layers` make."""
    of_map = hashlib.sha256(msgspec.json.encode(id_map)).hexdigest()[:16]
    return f"{chain_id(layer.diff_id for layer in layers).hex}-tree-{of_map}-{TREE_VERSION}"


def find(rootfs_dir: Path, key: str) -> RootTree | None:
    """The tree of `key`, when it is there and whole."""
    found = record_of(rootfs_dir, key)
    if found is None or found.key != key or found.tree_version != TREE_VERSION:
        return None
    return RootTree(key, rootfs_dir / key / "root")


def record_of(rootfs_dir: Path, key: str) -> Record | None:
    """What is on record of it; None where nothing sound is."""
    try:
        found: Record = json_decoder(Record).decode((rootfs_dir / key / "tree.json").read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    return found


def build(
    layers: Sequence[Layer],
    *,
    open_blob: OpenBlob,
    rootfs_dir: Path,
    id_map: IdMap,
    limit_bytes: int,
) -> RootTree:
    """The tree of `layers`, bottom first, for a container with `id_map`; made when it is not there.

    `open_blob` gives files. Heavy and synchronous; of two builders of one key, the second waits for the
    first. Raises Corrupt, DigestMismatch or UnsupportedMediaType for bad layers, StorageFull where they are
    far more than `limit_bytes` or the disk is full, HostUnsupported where the map lacks an id of a file's;
    nothing is kept then.
    """
    key = key_of(layers, id_map)
    if (found := find(rootfs_dir, key)) is not None:
        return found
    from firkin.rootfs.builder import PREFIX, sync_directory, tidy, write_synced
    from firkin.rootfs.cache import explained

    try:
        rootfs_dir.mkdir(parents=True, exist_ok=True)
        tidy(rootfs_dir)
        with locked(rootfs_dir, key):
            if (found := find(rootfs_dir, key)) is not None:
                return found
            building = rootfs_dir / (PREFIX + key)
            remove_tree(building)
            remove_tree(rootfs_dir / key)  # there, but not whole
            building.mkdir(0o700)  # others must not reach its setuid files
            try:
                with stage("rootfs", key=key):
                    made = _make(building, layers, open_blob, id_map, limit_bytes)
                    record = _record(key, layers, id_map, made)
                    write_synced(building / "tree.json", msgspec.json.format(msgspec.json.encode(record)))
                    sync_directory(building)
                    building.rename(rootfs_dir / key)
                    sync_directory(rootfs_dir)
            finally:
                remove_tree(building)
    except OSError as error:
        raise explained(error, rootfs_dir) from error
    return RootTree(key, rootfs_dir / key / "root")


def _record(key: str, layers: Sequence[Layer], id_map: IdMap, made: Made) -> Record:
    return Record(
        key=key,
        chain_id="sha256:" + key.partition("-")[0],
        digests=tuple(str(layer.digest) for layer in layers),
        id_map=id_map,
        tree_version=TREE_VERSION,
        names=made.names,
        left_out=made.left_out,
        left_out_count=made.left_out_count,
    )


def _make(
    building: Path, layers: Sequence[Layer], open_blob: OpenBlob, id_map: IdMap, limit_bytes: int
) -> Made:
    """Have the process make it. Raises what it failed of."""
    fd = os.open(building, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        job = Job(
            layers=tuple(_file(layer, open_blob) for layer in layers),
            id_map=id_map,
            ours=storage_namespace.storage_map(),
            fd=fd,
            limit_bytes=limit_bytes,
            devices=os.geteuid() == 0,
        )
        with closing(_answers(job)) as answers:
            for answer in answers:
                match answer:
                    case Progress(done, total):
                        event("rootfs.progress", done=done, total=total)
                    case Made():
                        return answer
                    case Failed():
                        raise failure(answer)
        raise HostUnsupported(
            "the process that makes a tree of files ended early",
            hint="`sudo dmesg | tail` says whether the kernel killed it for want of memory",
        )
    finally:
        os.close(fd)


def _file(layer: Layer, open_blob: OpenBlob) -> LayerFile:
    with open_blob(layer.digest) as blob:
        path = os.path.abspath(blob.name)
    return LayerFile(str(layer.digest), str(layer.diff_id), layer.media_type, layer.size_bytes, path)


def _answers(job: Job) -> Generator[Answer, None, None]:
    """What the process says, until it ends; it is killed where nobody listens any more."""
    import sys

    job_fd = os.memfd_create("job", os.MFD_CLOEXEC)
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    with open(read_fd, "rb") as answers:
        try:
            os.write(job_fd, msgspec.json.encode(job))
            os.lseek(job_fd, 0, os.SEEK_SET)
            env = {**storage_namespace.ENVIRONMENT, "PYTHONPATH": ":".join(filter(None, sys.path))}
            started = storage_namespace.started(
                [sys.executable, "-m", MODULE], stdin_fd=job_fd, stdout_fd=write_fd, fds=(job.fd,), env=env
            )
            with started as pid:
                os.close(write_fd)
                write_fd = -1
                while line := answers.readline(_MOST_ANSWER_BYTES):
                    yield msgspec.json.decode(line, type=Answer)
                os.waitpid(pid, 0)
        finally:
            os.close(job_fd)
            if write_fd >= 0:
                os.close(write_fd)


def failure(failed: Failed) -> Exception:
    """What the process said of itself, to be raised."""
    kind = getattr(errors, failed.error, None)
    if isinstance(kind, type) and issubclass(kind, FirkinError):
        return kind(failed.message, hint=failed.hint)
    return OSError(failed.number, failed.message)
