"""ImageUse: which containers stand on which image, so that nobody takes it from under them."""

from __future__ import annotations

from dataclasses import dataclass

from firkin.container import record
from firkin.errors import ContainerNotFound
from firkin.oci.digest import Digest
from firkin.paths import Paths


@dataclass(frozen=True, slots=True)
class ImageUse:
    """One container, and what it stands on: the image's manifest, and its root file system's key."""

    container: str
    manifest: Digest
    rootfs_key: str
    running: bool


def image_uses(paths: Paths) -> list[ImageUse]:
    """The uses of all containers. Raises Corrupt where one cannot be read: it might stand on anything."""
    uses = []
    for found in record.records(paths):
        try:
            spec = found.spec()
            running = isinstance(found.state(), record.Running)
        except ContainerNotFound:
            continue  # removed since they were listed
        uses.append(ImageUse(spec.name, Digest.parse(spec.image_digest), spec.rootfs_key, running))
    return uses
