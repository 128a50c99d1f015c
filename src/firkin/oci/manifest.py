"""Manifest and Index: what an image consists of, and which image each platform gets.

OCI image spec, manifest.md and image-index.md; Docker's v2 schema 2 has the same shape.

A document is what its media type says. One that could be read both as a manifest and as an index is refused
(CVE-2021-41190), as is one whose own mediaType contradicts the one it was served with.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from firkin.errors import Corrupt, PlatformNotFound, UnsupportedMediaType
from firkin.oci import media_types
from firkin.oci.descriptor import Descriptor, RawDescriptor, decode_json, sound
from firkin.oci.platform import Platform

MAX_LAYERS = 512


class Manifest(msgspec.Struct, frozen=True):
    """One platform's image: its config, and its layers from the lowest up. Or an artifact of some type."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    artifact_type: str = ""


class Index(msgspec.Struct, frozen=True):
    """Manifests to choose from."""

    media_type: str
    manifests: tuple[Descriptor, ...]

    def select(self, platform: Platform, what: str) -> Descriptor:
        """The entry for `platform`: the same, else an older variant, else the only one that names none.

        Raises PlatformNotFound, which says which platforms `what` exists for.
        """
        offered: dict[Platform, Descriptor] = {
            entry.platform: entry for entry in reversed(self.manifests) if entry.platform is not None
        }
        best = platform.best(offered)
        if best is not None:
            return offered[best]
        unnamed = [entry for entry in self.manifests if entry.platform is None]
        if len(unnamed) == 1:
            return unnamed[0]
        raise platform_not_found(platform, offered, what)


class _Document(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    schema_version: int
    media_type: str = ""
    config: RawDescriptor | None = None
    layers: list[RawDescriptor] | None = None
    manifests: list[RawDescriptor] | None = None
    artifact_type: str = ""


def decode(content: bytes, media_type: str, what: str) -> Manifest | Index:
    """The manifest or index in `content`, which was served as `media_type` ("" where nobody said).

    Raises Corrupt or UnsupportedMediaType, which names the type; `what` says in both whose document it is.
    """
    document: _Document = decode_json(content, _Document, what)
    media_type = _media_type(document, media_type, what)
    if document.manifests is not None and (document.layers is not None or document.config is not None):
        raise Corrupt(f"{what} is both a manifest and an index", hint="its publisher has to mend it")
    if media_type in media_types.INDEXES:
        entries = sound(lambda: _checked(document.manifests or []), what)
        return Index(media_type, entries)
    if document.config is None or document.layers is None:
        raise Corrupt(f"{what} has no config or no layers", hint="its publisher has to mend it")
    if len(document.layers) > MAX_LAYERS:
        raise Corrupt(f"{what} has more than {MAX_LAYERS} layers", hint="squash the image")
    layers = sound(lambda: _checked(document.layers or []), what)
    config = sound(document.config.checked, what)
    return Manifest(media_type, config, layers, document.artifact_type)


def encode_manifest(manifest: Manifest) -> bytes:
    """`manifest` as JSON, the same bytes for the same manifest."""
    layers = [RawDescriptor.of(layer) for layer in manifest.layers]
    config, kind = RawDescriptor.of(manifest.config), manifest.artifact_type
    return msgspec.json.encode(_Document(2, manifest.media_type, config, layers, artifact_type=kind))


def encode_index(index: Index) -> bytes:
    """`index` as JSON, the same bytes for the same index."""
    manifests = [RawDescriptor.of(entry) for entry in index.manifests]
    return msgspec.json.encode(_Document(2, index.media_type, manifests=manifests))


def check_is_image(manifest: Manifest, what: str) -> None:
    """Raises UnsupportedMediaType where `manifest` is not a container image that firkin can run."""
    if manifest.config.media_type == media_types.SNAPSHOT_CONFIG:
        raise UnsupportedMediaType(
            f"{what} is a snapshot, not an image", hint="`firkin pull` it, then `firkin snapshot restore`"
        )
    if manifest.config.media_type not in media_types.CONFIGS:
        raise UnsupportedMediaType(
            f"{what} is not a container image: its config has media type {manifest.config.media_type!r}",
            hint="it is an artifact of another kind, such as a chart or a signature",
        )
    for layer in manifest.layers:
        media_types.layer_compression(layer.media_type)


def platform_not_found(wanted: Platform, existing: Iterable[Platform], what: str) -> PlatformNotFound:
    """The error that says which platforms `what` exists for."""
    names = sorted({str(platform) for platform in existing if platform.os != "unknown"})
    exists = f"it exists for {', '.join(names)}" if names else "it names no platform at all"
    return PlatformNotFound(
        f"{what} has no image for {wanted}: {exists}",
        hint=f"choose one with --platform {names[0]}" if names else "ask its publisher",
    )


def _checked(raw: list[RawDescriptor]) -> tuple[Descriptor, ...]:
    return tuple(descriptor.checked() for descriptor in raw)


def _media_type(document: _Document, served_as: str, what: str) -> str:
    """The type of `document`: what it was served as, what it says itself, else what its fields show."""
    if document.schema_version != 2:
        raise UnsupportedMediaType(
            f"{what} is a manifest of schema version {document.schema_version}",
            hint="firkin reads OCI and Docker v2 schema 2: push the image again with a current tool",
        )
    known = media_types.MANIFESTS | media_types.INDEXES
    own = document.media_type
    if served_as in known and own and own != served_as:
        raise Corrupt(
            f"{what} was served as {served_as} but calls itself {own!r}", hint="its registry has to mend it"
        )
    shown = media_types.OCI_INDEX if document.manifests is not None else media_types.OCI_MANIFEST
    media_type = served_as if served_as in known else own or shown
    if media_type not in known:
        raise UnsupportedMediaType(
            f"{what} has unknown media type {media_type!r}",
            hint="firkin reads OCI and Docker v2 schema 2 manifests and indexes",
        )
    return media_type
