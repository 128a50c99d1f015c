"""Unpack: a snapshot that came from elsewhere, from blobs in the store to one that can be restored.

The rule: what cannot be verified is not kept. Each blob is hashed once more while it is read, grows to the
size that was announced and no further, and its structure is checked; the disk's image is built anew from its
layers and has to be the one that the snapshot stands on. Only then does the snapshot appear, under a new id.

What its record may say is in snapshot.arrival.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from pathlib import Path

import msgspec

from firkin.errors import Corrupt, IntegrityError, Misfit
from firkin.events import event, stage
from firkin.machine import saved
from firkin.oci.descriptor import Descriptor
from firkin.oci.image import Image
from firkin.oci.image_config import decode_config
from firkin.oci.manifest import Manifest
from firkin.oci.manifest import decode as decode_manifest
from firkin.paths import Paths
from firkin.rootfs.cache import build, key_of
from firkin.snapshot import names
from firkin.snapshot.arrival import adopted
from firkin.snapshot.artifact import Moved, MovedFile, MovedMemory, check, decode, digest_of, image_descriptor
from firkin.snapshot.artifact import snapshot_manifest as manifest_of
from firkin.snapshot.memory_part import decoded, largest_bytes
from firkin.snapshot.plain_disk import check_plain
from firkin.snapshot.record import Making, Snapshot, making
from firkin.snapshot.uncompressed import AGAIN, uncompressed, write_at, write_sparsely
from firkin.store.files import disk_errors, sync_dir, sync_file
from firkin.store.store import Store

_QCOW2_CLUSTER = 64 << 10


def unpack(paths: Paths, store: Store, descriptor: Descriptor, *, name: str = "") -> Snapshot:
    """Put the artifact `descriptor`, all of which is in `store`, on record as a snapshot of this host.

    Under `name`, else under the one that it had. Heavy: for a thread. The caller holds Store.adding(). Raises
    UnsupportedMediaType where it is no snapshot, Corrupt, DigestMismatch, Misfit where its disk cannot stand
    here, UsageError where it wants this host's directories, NameInUse, StorageFull; nothing is kept then.
    """
    what = f"snapshot {descriptor.digest}"
    manifest = manifest_of(store.document(descriptor), what)
    moved = decode(store.read_blob(manifest.config.digest), what)
    check(moved, manifest, what)
    image = _image(store, moved, what)
    snapshot = adopted(paths, moved.snapshot, what)
    chosen = _free_name(paths, name or snapshot.name)
    size_bytes = _check_disk(snapshot, image)
    with stage("snapshot.unpack", snapshot=chosen), making(paths) as new, disk_errors(new.dir):
        unpacking = _Unpacking(paths, store, moved, manifest, new)
        unpacking.run()
        build(image.layers, open_blob=store.open_blob, rootfs_dir=paths.rootfs_dir, size_bytes=size_bytes)
        unpacking.place_layers()
        layers = tuple(_layer_id(disk) for disk in moved.disks)
        return new.commit(msgspec.structs.replace(snapshot, layers=layers), name=chosen)


def _free_name(paths: Paths, name: str) -> str:
    """`name`, refused before the work rather than after it where it is a bad one, or taken."""
    naming = names.of(paths)
    naming.check_free(naming.validate(name))
    return name


def _image(store: Store, moved: Moved, what: str) -> Image:
    descriptor = image_descriptor(moved, what)
    content = store.read_blob(descriptor.digest)
    image = decode_manifest(content, descriptor.media_type, f"the image of {what}")
    if not isinstance(image, Manifest):
        raise Corrupt(f"the image of {what} is an index", hint="have it exported again")
    config = decode_config(store.read_blob(image.config.digest), f"the image's config of {what}")
    return Image.of(descriptor, image, config)


def _check_disk(snapshot: Snapshot, image: Image) -> int:
    """The size of the image's disk, which has to be the one that the snapshot stands on, byte for byte."""
    key = snapshot.spec.rootfs_key
    chain, _, rest = key.partition("-")
    size, _, writer = rest.partition("-")
    if not (size.isascii() and size.isdigit() and len(size) < 16):
        raise Corrupt(
            f"the snapshot's disk stands on {key[:200]!r}, which is no disk", hint="have it exported again"
        )
    ours = key_of(image.layers, int(size)).split("-")
    for field, theirs, here in zip(
        ("chain id", "size", "writer version"), (chain, size, writer), ours, strict=True
    ):
        if theirs != here:
            raise Misfit(
                f"the disk of snapshot {snapshot.name} cannot stand here: the {field} of its image was "
                f"{theirs[:80]}, and would be {here}",
                hint="use the version of firkin that took it",
            )
    return int(size)


class _Unpacking:
    """The files of one snapshot in the making, several at once."""

    def __init__(self, paths: Paths, store: Store, moved: Moved, manifest: Manifest, new: Making) -> None:
        self._paths = paths
        self._store = store
        self._moved = moved
        self._new = new
        self._sizes = {str(layer.digest): layer.size_bytes for layer in manifest.layers}
        self._total = sum(self._sizes[file.digest] for file in self._files())
        self._done = 0
        self._lock = threading.Lock()

    def _files(self) -> Iterator[MovedFile]:
        yield from self._moved.disks
        if self._moved.state is not None:
            yield self._moved.state
        if self._moved.memory is not None:
            yield from (MovedFile(part.digest, 0) for part in self._moved.memory.parts)

    def run(self) -> None:
        moved = self._moved
        with ThreadPoolExecutor(os.cpu_count() or 1, "firkin unpack") as pool:
            disks = {disk.digest: disk for disk in moved.disks}
            jobs: list[Callable[[], None]] = [partial(self._disk, disk) for disk in disks.values()]
            if moved.memory is not None:
                jobs += self._memory(moved.memory)
            running = [pool.submit(copy_context().run, job) for job in jobs]
            try:
                for job in running:
                    job.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        if moved.state is not None:
            self._state(moved.state)

    def _state(self, state: MovedFile) -> None:
        path = self._new.dir / saved.STATE
        with open(path, "xb") as file:
            for piece in self._exactly(state):
                file.write(piece)
        machine = self._moved.snapshot.machine
        assert machine is not None  # checked: there is a state
        if saved.keep(self._new.dir, machine).machine != machine:
            raise Corrupt("the state of the snapshot is not the one that was saved", hint=AGAIN)

    def _memory(self, memory: MovedMemory) -> list[Callable[[], None]]:
        """What is to be done for the memory's file, which is there already, all zero."""
        path = self._new.dir / saved.MEMORY
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(fd, memory.size_bytes)
        finally:
            os.close(fd)
        step, size = memory.part_bytes, memory.size_bytes
        return [
            partial(self._part, path, part.digest, part.number * step, min(step, size - part.number * step))
            for part in memory.parts
        ]

    def _part(self, path: Path, digest: str, offset: int, size_bytes: int) -> None:
        content = b"".join(self._content(digest, largest_bytes(size_bytes)))
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for at, piece in decoded(content, size_bytes):
                write_at(fd, piece, offset + at)
        except Corrupt as error:
            raise Corrupt(f"blob {digest} is no part of a memory: {error}", hint=AGAIN) from error
        finally:
            os.close(fd)

    def _disk(self, disk: MovedFile) -> None:
        """Make a layer, unless there is one already."""
        path = self._paths.layer_path(_layer_id(disk))
        if path.exists():
            return
        path = self._new.dir / path.name
        with open(path, "xb", buffering=0) as file:
            for piece in self._exactly(disk):
                write_sparsely(file.fileno(), piece)
            file.truncate(disk.size_bytes)
        size_bytes = self._moved.snapshot.spec.disk_bytes
        try:
            check_plain(path, -(-size_bytes // _QCOW2_CLUSTER) * _QCOW2_CLUSTER)
        except IntegrityError as error:
            raise Corrupt(f"the disk in blob {disk.digest} cannot be used: {error}", hint=AGAIN) from error
        sync_file(path)
        path.chmod(0o400)

    def place_layers(self) -> None:
        """Put the new layers where layers are, once all else is verified. A crash leaves some that nobody
        lists.
        """
        self._paths.disks_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._new.dir.glob("*.qcow2"):
            path.rename(self._paths.disks_dir / path.name)
        sync_dir(self._paths.disks_dir)

    def _exactly(self, file: MovedFile) -> Iterator[bytes]:
        total = 0
        for piece in self._content(file.digest, file.size_bytes):
            total += len(piece)
            yield piece
        if total != file.size_bytes:
            raise Corrupt(
                f"blob {file.digest} uncompresses to {total} bytes, not {file.size_bytes}", hint=AGAIN
            )

    def _content(self, digest: str, most_bytes: int) -> Iterator[bytes]:
        known = digest_of(digest, "the snapshot")
        with self._store.open_blob(known) as blob:
            yield from uncompressed(blob, known, most_bytes, self._read)

    def _read(self, size_bytes: int) -> None:
        with self._lock:
            self._done += size_bytes
        event("snapshot.unpacked", done=self._done, total=self._total)


def _layer_id(disk: MovedFile) -> str:
    """A layer that came from elsewhere is named by its blob, so that nobody can pass off one for another."""
    return disk.digest.partition(":")[2]
