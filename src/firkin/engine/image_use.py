"""ImageUse: who stands on which image, so that nobody takes it from under them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from firkin.container import record
from firkin.container.pod import Sandbox
from firkin.errors import ContainerNotFound
from firkin.oci.digest import Digest
from firkin.paths import Paths


@dataclass(frozen=True, slots=True)
class ImageUse:
    """A container or a snapshot, and what it stands on: the image's manifest, its root file system's key."""

    user: str
    """In words, such as "the running container web"."""
    removal: str
    """The command that removes it."""
    manifest: Digest
    rootfs_key: str
    lasting: bool
    """Whether the image's last name cannot be taken away even by force."""


def image_uses(paths: Paths) -> list[ImageUse]:
    """All uses. Raises Corrupt where a record cannot be read: it might stand on anything."""
    return [*_by_containers(paths), *_by_snapshots(paths)]


def _by_containers(paths: Paths) -> Iterator[ImageUse]:
    for found in record.records(paths):
        try:
            spec = found.spec()
            running = isinstance(found.state(), record.Running)
        except ContainerNotFound:
            continue  # removed since they were listed
        if isinstance(spec.pod, Sandbox):
            continue  # it has none
        if not spec.image_digest:
            continue  # its root is a file of the user's
        user = f"the {'running' if running else 'ended'} container {spec.name}"
        removal = f"firkin rm {'-f ' if running else ''}{spec.name}"
        yield ImageUse(user, removal, Digest.parse(spec.image_digest), spec.rootfs_key, running)


def _by_snapshots(paths: Paths) -> Iterator[ImageUse]:
    if not paths.snapshots_dir.is_dir():
        return
    from firkin.snapshot.record import snapshots

    for snapshot in snapshots(paths):
        spec = snapshot.spec
        if not spec.image_digest:
            continue
        removal = f"firkin snapshot rm {snapshot.name}"
        digest = Digest.parse(spec.image_digest)
        yield ImageUse(f"the snapshot {snapshot.name}", removal, digest, spec.rootfs_key, lasting=False)
