"""Artifact: a snapshot as it travels, an OCI artifact that any registry takes (docs/design/snapshots.md).

    manifest    an OCI image manifest; its artifact type and its config's media type are ours
    config      Moved: the snapshot's record, and which blob is what
    layers      the image's manifest, config and layers; the disk's layers; state; memory

The rule: nothing in it is believed. `check` says what can be said before a blob is opened: that every blob
that the config speaks of is in the manifest, as what it should be, and that no number is beyond its bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

from firkin.container.layers import MAX_LAYERS
from firkin.errors import Corrupt, HostUnsupported, UnsupportedMediaType, UsageError
from firkin.machine.saved import MAX_STATE_BYTES
from firkin.oci.descriptor import MAX_BLOB_BYTES, Descriptor, RawDescriptor, decode_json, sound
from firkin.oci.digest import Digest
from firkin.oci.manifest import Manifest
from firkin.oci.media_types import MANIFESTS, SNAPSHOT_CONFIG
from firkin.snapshot.record import VERSION as RECORD_VERSION
from firkin.snapshot.record import Snapshot

ARTIFACT_TYPE = "application/vnd.firkin.snapshot.v1"
IMAGE_MANIFEST = "application/vnd.firkin.snapshot.image.v1+json"
"""Not OCI's own type: registries would look for a manifest where there is a blob."""
DISK = "application/vnd.firkin.snapshot.disk.v1+zstd"
STATE = "application/vnd.firkin.snapshot.state.v1+zstd"
MEMORY = "application/vnd.firkin.snapshot.memory.v1+zstd"

VERSION = 1
PAGE_BYTES = 4096
LEAST_PART_BYTES, MOST_PART_BYTES = 16 << 20, 256 << 20
MAX_PARTS = 256
MAX_MEMORY_BYTES = MOST_PART_BYTES * MAX_PARTS

_Bytes = Annotated[int, msgspec.Meta(ge=0, le=MAX_BLOB_BYTES)]
_Number = Annotated[int, msgspec.Meta(ge=0, lt=MAX_PARTS)]


class MovedFile(msgspec.Struct, frozen=True):
    """A file: the blob that it is in, and its own size."""

    digest: str
    size_bytes: _Bytes


class MovedPart(msgspec.Struct, frozen=True):
    """The blob of the memory from `number` * part_bytes on."""

    number: _Number
    digest: str


class MovedMemory(msgspec.Struct, frozen=True):
    """A guest's memory; parts that are zero are left out."""

    size_bytes: _Bytes
    part_bytes: _Bytes
    parts: tuple[MovedPart, ...]


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """The config. `disks` are the layers of snapshot.layers, in that order."""

    version: int = VERSION
    snapshot: Snapshot
    image: RawDescriptor
    disks: tuple[MovedFile, ...]
    state: MovedFile | None = None
    memory: MovedMemory | None = None


class _Version(msgspec.Struct, frozen=True):
    version: int


class _Versions(msgspec.Struct, frozen=True):
    version: int
    snapshot: _Version


def part_bytes(memory_bytes: int) -> int:
    """How much memory goes into one blob: as little as gives at most MAX_PARTS. Raises UsageError."""
    if memory_bytes > MAX_MEMORY_BYTES:
        raise UsageError(
            f"a machine with {memory_bytes} bytes of memory cannot be moved: at most {MAX_MEMORY_BYTES}",
            hint="move a snapshot of its disk only",
        )
    size = LEAST_PART_BYTES
    while size * MAX_PARTS < memory_bytes:
        size *= 2
    return size


def ranges(memory_bytes: int) -> Iterator[tuple[int, int]]:
    """Offset and size of each part of such a memory."""
    step = part_bytes(memory_bytes)
    for offset in range(0, memory_bytes, step):
        yield offset, min(step, memory_bytes - offset)


def is_snapshot(manifest: object) -> bool:
    """Whether `manifest` is that of a snapshot."""
    return isinstance(manifest, Manifest) and manifest.config.media_type == SNAPSHOT_CONFIG


def decode(content: bytes, what: str) -> Moved:
    """The config in `content`. Raises Corrupt, HostUnsupported for a newer firkin's; neither believes it."""
    versions = decode_json(content, _Versions, what)
    if versions.version > VERSION or versions.snapshot.version > RECORD_VERSION:
        raise HostUnsupported(
            f"{what} has format {versions.version}.{versions.snapshot.version}; this firkin knows "
            f"{VERSION}.{RECORD_VERSION}",
            hint="use the newer firkin that made it",
        )
    return decode_json(content, Moved, what)


def check(moved: Moved, manifest: Manifest, what: str) -> None:
    """Raise Corrupt where the config and the manifest of `what` do not fit together, or cannot be meant."""
    try:
        _check_record(moved)
        _check_blobs(moved, manifest)
        if moved.memory is not None:
            _check_memory(moved.memory)
    except Corrupt as error:
        raise Corrupt(f"{what} is no sound snapshot: {error}", hint="have it exported again") from error


def _check_record(moved: Moved) -> None:
    snapshot, spec = moved.snapshot, moved.snapshot.spec
    machine = snapshot.machine
    if spec.id != snapshot.container:
        raise Corrupt("its record is of another container than its spec")
    if spec.image_digest != moved.image.digest:
        raise Corrupt("its image is not the one that its container ran")
    if len(moved.disks) != len(snapshot.layers) or len(moved.disks) > MAX_LAYERS:
        raise Corrupt(f"it has {len(moved.disks)} layers for a disk of {len(snapshot.layers)}")
    if not (machine is None) == (moved.memory is None) == (moved.state is None):
        raise Corrupt("it has a part of a machine only")
    if machine is None or moved.memory is None or moved.state is None:
        return
    if machine.memory_bytes != moved.memory.size_bytes:
        raise Corrupt("its memory is not of the size that its machine had")
    if moved.state.size_bytes != machine.state_bytes or moved.state.size_bytes > MAX_STATE_BYTES:
        raise Corrupt("its state is not of the size that its machine's was")


def _check_memory(memory: MovedMemory) -> None:
    try:
        expected = part_bytes(memory.size_bytes)
    except UsageError as error:
        raise Corrupt(str(error)) from error
    if memory.part_bytes != expected or memory.size_bytes % PAGE_BYTES:
        raise Corrupt(f"its memory of {memory.size_bytes} bytes has parts of {memory.part_bytes}")
    numbers = [part.number for part in memory.parts]
    if numbers != sorted(set(numbers)) or any(n * expected >= memory.size_bytes for n in numbers):
        raise Corrupt("parts of its memory overlap, or are beyond its end")


def _check_blobs(moved: Moved, manifest: Manifest) -> None:
    """Every blob that the config names is in the manifest, as what it is named."""
    types = {str(layer.digest): layer.media_type for layer in manifest.layers}
    named = {file.digest: DISK for file in moved.disks}
    if moved.state is not None:
        named[moved.state.digest] = STATE
    if moved.memory is not None:
        named |= {part.digest: MEMORY for part in moved.memory.parts}
    named[moved.image.digest] = IMAGE_MANIFEST
    for digest, media_type in named.items():
        if types.get(digest) != media_type:
            raise Corrupt(f"its manifest has no {media_type} {digest[:80]}")
    if moved.image.media_type not in MANIFESTS:
        raise Corrupt(f"its image's manifest is of type {moved.image.media_type!r}")


def image_descriptor(moved: Moved, what: str) -> Descriptor:
    """The image's manifest. Raises Corrupt."""
    return sound(moved.image.checked, what)


def digest_of(text: str, what: str) -> Digest:
    """A digest that the config names. Raises Corrupt."""
    return sound(lambda: Digest.parse(text), what)


def snapshot_manifest(manifest: object, what: str) -> Manifest:
    """`manifest`, if it is that of a snapshot. Raises UnsupportedMediaType."""
    if not isinstance(manifest, Manifest) or not is_snapshot(manifest):
        raise UnsupportedMediaType(
            f"{what} is not a snapshot", hint="`firkin pull` takes images, `firkin import` archives of files"
        )
    return manifest
