"""Pack: a snapshot to blobs in the store, ready to be pushed or exported.

The same snapshot gives the same bytes: nothing of them depends on when, where or by how many threads they
were made (only on zstd's version). Parts of a memory, and layers, that two snapshots share are one blob.

Nothing refers to the blobs but the manifest, and nothing to the manifest: the caller holds Store.adding() as
long as it needs them, and the next sweep takes them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

import msgspec
import zstandard

from firkin.container.layers import present
from firkin.errors import Corrupt
from firkin.events import event, stage
from firkin.machine.saved import Saved
from firkin.oci.descriptor import Descriptor, RawDescriptor
from firkin.oci.digest import Digest
from firkin.oci.manifest import Manifest, encode_manifest
from firkin.oci.media_types import OCI_MANIFEST, SNAPSHOT_CONFIG
from firkin.paths import Paths
from firkin.snapshot.arrival import check_movable
from firkin.snapshot.artifact import (
    ARTIFACT_TYPE,
    DISK,
    IMAGE_MANIFEST,
    MEMORY,
    STATE,
    Moved,
    MovedFile,
    MovedMemory,
    MovedPart,
    part_bytes,
    ranges,
)
from firkin.snapshot.memory_part import encoded
from firkin.snapshot.plain_disk import cluster_bytes, plain_head
from firkin.snapshot.record import Snapshot
from firkin.store.files import disk_errors
from firkin.store.store import Store

_LEVEL = 3
_READ_BYTES = 1 << 20
_DISK_THREADS = 2
"""With one or more, zstd's output is the same, however many there are; without, it is another."""


def pack(paths: Paths, store: Store, snapshot: Snapshot) -> Descriptor:
    """Bring `snapshot` into `store` as an artifact; its manifest. Heavy: for a thread.

    Raises Corrupt where a part of it is missing or damaged, ImageNotFound where its image is, UsageError
    where it cannot be moved, StorageFull.
    """
    check_movable(snapshot.spec, f"snapshot {snapshot.name}")
    with stage("snapshot.pack", snapshot=snapshot.name), disk_errors(paths.data):
        image, image_blobs = _image(store, snapshot)
        with ThreadPoolExecutor(os.cpu_count() or 1, "firkin pack") as pool:
            packing = _Packing(paths, store, snapshot, pool)
            try:
                moved, blobs = packing.run(image)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        config = msgspec.json.encode(moved)
        layers = {blob.digest: blob for blob in (*image_blobs, *blobs)}
        described = Descriptor(SNAPSHOT_CONFIG, store.put_blob(config), len(config))
        content = encode_manifest(Manifest(OCI_MANIFEST, described, (*layers.values(),), ARTIFACT_TYPE))
        return Descriptor(OCI_MANIFEST, store.put_blob(content), len(content))


def _image(store: Store, snapshot: Snapshot) -> tuple[RawDescriptor, list[Descriptor]]:
    """The image's manifest as it is, and all blobs of the image as those of an artifact."""
    digest = Digest.parse(snapshot.spec.image_digest)
    content = store.read_blob(digest)
    document = store.document(Descriptor("", digest, len(content)))
    if not isinstance(document, Manifest):
        raise Corrupt(
            f"the image {digest} of snapshot {snapshot.name} is an index", hint="remove the snapshot"
        )
    as_blob = Descriptor(IMAGE_MANIFEST, digest, len(content))
    for blob in (document.config, *document.layers):
        store.open_blob(blob.digest).close()  # raises where it is not here
    described = RawDescriptor.of(Descriptor(document.media_type, digest, len(content)))
    return described, [as_blob, document.config, *document.layers]


class _Packing:
    """The blobs of one snapshot in the making, several at once; and how far all of it is."""

    def __init__(self, paths: Paths, store: Store, snapshot: Snapshot, pool: ThreadPoolExecutor) -> None:
        self._store = store
        self._snapshot = snapshot
        self._pool = pool
        self._disks = present(paths, snapshot.layers)
        self._saved = Saved(paths.snapshot_dir(snapshot.id), snapshot.machine) if snapshot.machine else None
        memory_bytes = snapshot.machine.memory_bytes if snapshot.machine else 0
        self._total = sum(path.stat().st_size for path in self._disks) + memory_bytes
        self._done = 0
        self._lock = threading.Lock()

    def run(self, image: RawDescriptor) -> tuple[Moved, list[Descriptor]]:
        """The config and the blobs that it names."""
        blobs: list[Descriptor] = []
        disks = [self._start(self._disk, path) for path in self._disks]
        memory = self._memory(blobs)
        state = self._state(blobs)
        moved_disks = []
        for path, disk in zip(self._disks, disks, strict=True):
            blobs.append(disk())
            moved_disks.append(MovedFile(str(blobs[-1].digest), path.stat().st_size))
        return Moved(
            snapshot=self._snapshot, image=image, disks=tuple(moved_disks), state=state, memory=memory
        ), blobs

    def _start(self, work: Callable[..., Descriptor | None], *arguments: object) -> Callable[[], Descriptor]:
        """Begin `work` in the pool, with our subscribers of events; what waits for it."""
        return self._pool.submit(copy_context().run, work, *arguments).result  # type: ignore[return-value]

    def _state(self, blobs: list[Descriptor]) -> MovedFile | None:
        if self._saved is None:
            return None
        content = self._saved.state_path.read_bytes()
        blobs.append(self._blob(STATE, [content], len(content)))
        return MovedFile(str(blobs[-1].digest), len(content))

    def _memory(self, blobs: list[Descriptor]) -> MovedMemory | None:
        if self._saved is None:
            return None
        size_bytes = self._saved.machine.memory_bytes
        fd = os.open(self._saved.memory_path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            waiting = [self._start(self._part, fd, *each) for each in ranges(size_bytes)]
            found = [(number, wait()) for number, wait in enumerate(waiting)]
        finally:
            os.close(fd)
        parts = tuple(MovedPart(number, str(blob.digest)) for number, blob in found if blob is not None)
        blobs += [blob for _, blob in found if blob is not None]
        return MovedMemory(size_bytes, part_bytes(size_bytes), parts)

    def _part(self, fd: int, offset: int, size_bytes: int) -> Descriptor | None:
        """The blob of a part of the memory; None where it is all zero."""
        pieces = encoded(fd, offset, size_bytes)
        blob = self._blob(MEMORY, pieces, sum(map(len, pieces))) if pieces else None
        self._moved(size_bytes)
        return blob

    def _disk(self, path: Path) -> Descriptor:
        return self._blob(DISK, self._read(path), path.stat().st_size, threads=_DISK_THREADS)

    def _read(self, path: Path) -> Iterator[bytes]:
        with open(path, "rb") as file:
            start = file.read(_READ_BYTES)
            try:
                size = cluster_bytes(start)
                start += file.read(max(0, size - len(start)))
                start = plain_head(start[:size], path.stat().st_size) + start[size:]
            except Corrupt as error:
                raise Corrupt(f"the disk {path} {error}", hint="remove the snapshot") from error
            while start:
                yield start
                self._moved(len(start))
                start = file.read(_READ_BYTES)

    def _blob(self, media_type: str, pieces: Iterable[bytes], size: int, threads: int = 0) -> Descriptor:
        compressor = zstandard.ZstdCompressor(level=_LEVEL, threads=threads).compressobj(size=size)
        with self._store.ingest_unknown() as ingest:
            for piece in pieces:
                if packed := compressor.compress(piece):
                    ingest.write(packed)
            ingest.write(compressor.flush())
            return Descriptor(media_type, ingest.commit(), ingest.offset)

    def _moved(self, size_bytes: int) -> None:
        with self._lock:
            self._done += size_bytes
        event("snapshot.packed", done=self._done, total=self._total)
