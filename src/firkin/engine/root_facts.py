"""What `firkin inspect` says of a container's root file system."""

from __future__ import annotations

from typing import Any

from firkin.container.spec import ContainerSpec
from firkin.paths import Paths


def root_facts(spec: ContainerSpec, paths: Paths) -> dict[str, Any]:
    """`Rootfs` is podman's: what the user gave in place of an image."""
    file = spec.root.file
    return {
        "RootFS": str(paths.rootfs_dir / spec.rootfs_key) if file is None else file.path,
        "Rootfs": "" if file is None else file.path,
        "RootfsWritable": spec.root.in_place is not None,
    }
