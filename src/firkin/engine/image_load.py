"""ImageLoad: images out of an archive of `firkin save`, docker save, podman save or skopeo, with their names.

    oci-archive       index.json names manifests, as a registry has them
    docker-archive    manifest.json names a config and layers, of which a manifest is made here

What docker writes today is both; then it is taken as the first. The rule: every digest is checked, the policy
is met (policy.json), and all of it is here, before any of it has a name.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from firkin.aio.thread import in_thread
from firkin.container.journal import note
from firkin.engine.archive_parts import Blob, Parts, read_parts
from firkin.engine.images import UNNAMED, Images
from firkin.errors import Corrupt, DigestMismatch, ImageNotFound, IntegrityError, Untrusted, UsageError
from firkin.oci import media_types as types
from firkin.oci.descriptor import Descriptor, RawDescriptor, decode_json, sound
from firkin.oci.digest import Digest
from firkin.oci.image import Image
from firkin.oci.image_config import decode_config
from firkin.oci.manifest import Manifest, encode_manifest
from firkin.oci.platform import Platform
from firkin.oci.reference import Reference
from firkin.rootfs.inflate import inflated
from firkin.settings import Settings
from firkin.snapshot.oci_archive import NAME_KEY
from firkin.store.store import Store
from firkin.trust.subject import Subject

CONTAINERD_KEY = "io.containerd.image.name"
MAX_IMAGES = 1024
_HINT = "write one with `firkin save`, docker save or podman save"
_HEX = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPES = {b"\x1f\x8b": types.OCI_LAYER_GZIP, b"\x28\xb5": types.OCI_LAYER_ZSTD}


class Loaded(msgspec.Struct, frozen=True):
    """An image that is here now, and the names that it has by that; none: it is known by its id alone."""

    image: Image
    names: tuple[str, ...]


class _Found(msgspec.Struct, frozen=True):
    descriptor: Descriptor
    names: tuple[Reference, ...]


class _Entry(msgspec.Struct, frozen=True, rename="pascal"):
    config: str
    layers: list[str]
    repo_tags: list[str] | None = None


class _Listed(RawDescriptor, frozen=True, rename="camel"):
    annotations: dict[str, str] | None = None


class _Index(msgspec.Struct, frozen=True):
    manifests: list[_Listed]


async def load(settings: Settings, source: str | Path | BinaryIO) -> list[Loaded]:
    """The images in `source`, a path or a stream, plain or compressed by gzip or zstd.

    Raises Untrusted, UsageError, Corrupt, DigestMismatch, UnsupportedMediaType, StorageFull; then nothing of
    it is kept.
    """
    images = Images(settings)
    policy = _Policy(settings, source)
    try:
        with images.store.adding():
            found = await in_thread(partial(_read, images.store, source, policy))
            return [await in_thread(partial(_named, settings, images.store, each)) for each in found]
    finally:
        await images.sweep()


class _Policy:
    """What the policy has against archives of either kind, asked before anything is read."""

    def __init__(self, settings: Settings, source: str | Path | BinaryIO) -> None:
        from firkin.engine.trusting import check_archive

        self._refused: dict[str, Untrusted] = {}
        for subject in _subjects(source):
            self.what = subject.what
            try:
                check_archive(settings, subject)
            except Untrusted as error:
                self._refused[subject.transport] = error
        if len(self._refused) == 2:
            raise self._refused["docker-archive"]

    def check(self, transport: str) -> None:
        """Raise Untrusted where it refuses archives of that kind."""
        if transport in self._refused:
            raise self._refused[transport]


def _subjects(source: str | Path | BinaryIO) -> tuple[Subject, Subject]:
    if isinstance(source, str | Path):
        return Subject("docker-archive", (), None, f"archive {source}"), Subject.of_oci_archive(source)
    what = "the archive from a stream"
    return Subject("docker-archive", (), None, what), Subject("oci-archive", (), None, what)


def _read(store: Store, source: str | Path | BinaryIO, policy: _Policy) -> list[_Found]:
    """What the archive holds, all of it in the store and sound."""
    try:
        with _opened(source) as stream:
            parts = read_parts(stream, store)
        if "index.json" in parts.documents:
            policy.check("oci-archive")
            found = _of_layout(parts, store)
        elif "manifest.json" in parts.documents:
            policy.check("docker-archive")
            found = _of_docker(parts, store)
        else:
            raise Corrupt(
                "it has neither an index.json nor a manifest.json",
                hint="an archive of a root file system becomes an image by `firkin import`",
            )
    except IntegrityError as error:
        raise type(error)(f"{policy.what} cannot be loaded: {error}", hint=error.hint or _HINT) from error
    if not 1 <= len(found) <= MAX_IMAGES:
        raise Corrupt(f"{policy.what} has {len(found)} images, not 1 to {MAX_IMAGES}", hint=_HINT)
    return found


def _of_layout(parts: Parts, store: Store) -> list[_Found]:
    index = decode_json(parts.documents["index.json"], _Index, "its index")
    found = []
    for entry in index.manifests[: MAX_IMAGES + 1]:
        descriptor = _image_of(store, sound(entry.checked, "its index"))
        _check_whole(store, descriptor)
        annotations = entry.annotations or {}
        name = annotations.get(CONTAINERD_KEY) or annotations.get(NAME_KEY, "")
        whole = "/" in name or ":" in name  # else it is only a tag, of nobody knows what
        found.append(_Found(descriptor, _references([name] if whole else [])))
    return found


def _image_of(store: Store, descriptor: Descriptor) -> Descriptor:
    """The manifest that `descriptor` means here: this host's of an index, else the first that was brought.

    What such an index has beside images, such as where they come from (os "unknown"), is left out.
    """
    try:
        document = store.document(descriptor)
    except ImageNotFound as error:
        raise Corrupt(f"a part of it is missing: {error}") from error
    if isinstance(document, Manifest):
        return descriptor
    brought = [
        entry
        for entry in document.manifests
        if store.has_blob(entry.digest) and (entry.platform is None or entry.platform.os != "unknown")
    ]
    if not brought:
        raise Corrupt(f"it holds no image of the index {descriptor.digest}")
    host = Platform.host()
    return min(brought, key=lambda entry: entry.platform is None or not host.runs(entry.platform))


def _check_whole(store: Store, descriptor: Descriptor) -> None:
    """Raise Corrupt where not all of the image `descriptor` is here."""
    try:
        images = store.local_images(descriptor)
    except ImageNotFound as error:
        raise Corrupt(f"a part of it is missing: {error}") from error
    if not images or not all(map(store.is_complete, images)):
        raise Corrupt(f"it does not hold all of image {descriptor.digest}")


def _of_docker(parts: Parts, store: Store) -> list[_Found]:
    entries: list[_Entry] = decode_json(parts.documents["manifest.json"], list[_Entry], "its manifest.json")
    return [_made(parts, store, entry) for entry in entries[: MAX_IMAGES + 1]]


def _made(parts: Parts, store: Store, entry: _Entry) -> _Found:
    """The image of a config and layers, which gets a manifest."""
    document = parts.document(entry.config)
    config = decode_config(document, f"its {entry.config}")
    digest = store.put_blob(document)
    stem = posixpath.basename(entry.config).removesuffix(".json")
    if _HEX.fullmatch(stem) and stem != digest.hex:
        raise DigestMismatch(f"its {entry.config} has digest {digest}", hint="get the archive again")
    if len(entry.layers) != len(config.diff_ids):
        raise Corrupt(f"it has {len(entry.layers)} layers, but {entry.config} names {len(config.diff_ids)}")
    layers = tuple(
        _layer(store, parts.blob(path), diff_id)
        for path, diff_id in zip(entry.layers, config.diff_ids, strict=True)
    )
    described = Descriptor(types.OCI_CONFIG, digest, len(document))
    manifest = encode_manifest(Manifest(types.OCI_MANIFEST, described, layers))
    descriptor = Descriptor(types.OCI_MANIFEST, store.put_blob(manifest), len(manifest))
    _check_whole(store, descriptor)
    return _Found(descriptor, _references(entry.repo_tags or []))


def _layer(store: Store, blob: Blob, diff_id: Digest) -> Descriptor:
    """The layer of `blob`, which has to uncompress to `diff_id`. Raises DigestMismatch."""
    with store.open_blob(blob.digest) as content:
        media_type = _MEDIA_TYPES.get(content.read(2), types.OCI_LAYER)
        content.seek(0)
        hashed = hashlib.sha256()
        for piece in inflated(content) if media_type != types.OCI_LAYER else ():
            hashed.update(piece)
    uncompressed = blob.digest if media_type == types.OCI_LAYER else Digest(f"sha256:{hashed.hexdigest()}")
    if uncompressed != diff_id:
        raise DigestMismatch(
            f"a layer uncompresses to {uncompressed}, not to {diff_id}", hint="get the archive again"
        )
    return Descriptor(media_type, blob.digest, blob.size_bytes)


def _references(names: Iterable[str]) -> tuple[Reference, ...]:
    found = [sound(partial(Reference.parse, name), f"its name {name!r}") for name in names]
    if any(each.digest is not None for each in found):
        raise Corrupt(f"it names an image by a digest: {', '.join(map(str, found))}")
    return tuple(found)


def _named(settings: Settings, store: Store, found: _Found) -> Loaded:
    for reference in found.names or (UNNAMED.with_digest(found.descriptor.digest),):
        store.tag(reference, found.descriptor)
        note(settings.paths, "image", "load", reference.familiar, {"name": reference.familiar})
    image = store.local_images(found.descriptor)[0]
    return Loaded(image, tuple(each.familiar for each in found.names))


def _opened(source: str | Path | BinaryIO) -> AbstractContextManager[BinaryIO]:
    if not isinstance(source, str | Path):
        return nullcontext(source)
    try:
        return open(source, "rb")
    except OSError as error:
        raise UsageError(
            f"cannot read {source}: {error.strerror}", hint="name an archive of images"
        ) from error
