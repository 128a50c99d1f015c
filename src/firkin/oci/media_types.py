"""Every media type that firkin knows (OCI image spec, media-types.md; Docker's image manifest v2, schema 2).

What is not here is refused with its name, never guessed.
"""

from __future__ import annotations

from typing import Literal

from firkin.errors import UnsupportedMediaType

Compression = Literal["gzip", "zstd", "none"]

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})

OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})

SNAPSHOT_CONFIG = "application/vnd.firkin.snapshot.v1+json"
"""Of a snapshot that travels, which is no image: see firkin.snapshot.artifact."""

OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = DOCKER_LAYER + ".gzip"
DOCKER_LAYER_ZSTD = DOCKER_LAYER + ".zstd"

_COMPRESSION: dict[str, Compression] = {
    OCI_LAYER: "none",
    OCI_LAYER_GZIP: "gzip",
    OCI_LAYER_ZSTD: "zstd",
    DOCKER_LAYER: "none",
    DOCKER_LAYER_GZIP: "gzip",
    DOCKER_LAYER_ZSTD: "zstd",
}
_FOREIGN = (
    "application/vnd.oci.image.layer.nondistributable.",
    "application/vnd.docker.image.rootfs.foreign.",
)


def layer_compression(media_type: str) -> Compression:
    """How a layer of `media_type` is compressed. Raises UnsupportedMediaType, which names the type."""
    if media_type in _COMPRESSION:
        return _COMPRESSION[media_type]
    if media_type.startswith(_FOREIGN):
        raise UnsupportedMediaType(
            f"layer of media type {media_type!r} lies outside the registry, at a URL of its own",
            hint="firkin fetches nothing from such URLs: use an image whose layers are all in the registry",
        )
    raise UnsupportedMediaType(
        f"layer has unknown media type {media_type!r}",
        hint="firkin reads tar layers, plain or compressed with gzip or zstd",
    )
