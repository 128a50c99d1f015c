"""Image: one platform's manifest and config, checked against each other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from firkin.errors import Corrupt
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.oci.image_config import ImageConfig
from firkin.oci.manifest import Manifest, check_is_image


class Layer(msgspec.Struct, frozen=True):
    """One layer: the blob's digest and size, and the digest of what it uncompresses to."""

    digest: Digest
    diff_id: Digest
    media_type: str
    size_bytes: int


class Image(msgspec.Struct, frozen=True):
    """What can be run. `digest` is the manifest's; `config_digest` is what Docker calls the image's id.

    `size_bytes` is the sum of the config and of the layers as they are stored.
    """

    digest: Digest
    config_digest: Digest
    config: ImageConfig
    layers: tuple[Layer, ...]
    size_bytes: int

    @property
    def chain_id(self) -> Digest:
        """The chain id of all its layers: the name of its root file system. There is at least one layer."""
        return chain_id(layer.diff_id for layer in self.layers)

    @classmethod
    def of(cls, descriptor: Descriptor, manifest: Manifest, config: ImageConfig) -> Image:
        """The image of a manifest and its config. Raises Corrupt or UnsupportedMediaType."""
        what = f"image {descriptor.digest}"
        check_is_image(manifest, what)
        if not manifest.layers:
            raise Corrupt(f"{what} has no layers", hint="its publisher has to mend it")
        if len(manifest.layers) != len(config.diff_ids):
            raise Corrupt(
                f"{what} has {len(manifest.layers)} layers, but its config names {len(config.diff_ids)}",
                hint="its publisher has to mend it",
            )
        layers = tuple(
            Layer(layer.digest, diff_id, layer.media_type, layer.size_bytes)
            for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True)
        )
        size_bytes = manifest.config.size_bytes + sum(layer.size_bytes for layer in layers)
        return cls(descriptor.digest, manifest.config.digest, config, layers, size_bytes)


def chain_id(diff_ids: Iterable[Digest]) -> Digest:
    """The name of layers applied on each other, one at least (OCI image spec, config.md, "Layer ChainID")."""
    first, *rest = diff_ids
    chain = first
    for diff_id in rest:
        chain = Digest("sha256:" + hashlib.sha256(f"{chain} {diff_id}".encode()).hexdigest())
    return chain
