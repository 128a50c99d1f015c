"""What `firkin inspect` says of a container's root file system."""

from __future__ import annotations

from typing import Any

from firkin.container.root import WritableLayer
from firkin.container.spec import ContainerSpec
from firkin.paths import Paths


def root_facts(spec: ContainerSpec, paths: Paths) -> dict[str, Any]:
    """`Rootfs` is podman's: what the user gave in place of an image."""
    file = spec.root.file
    return {
        "RootFS": str(paths.rootfs_dir / spec.rootfs_key) if file is None else file.path,
        "Rootfs": "" if file is None else file.path,
        "RootfsWritable": file is not None and file.writable,
        "WritableLayer": None if spec.root.layer is None else _layer_facts(spec, spec.root.layer, paths),
    }


def _layer_facts(spec: ContainerSpec, layer: WritableLayer, paths: Paths) -> dict[str, Any]:
    from firkin.container.writable_layer import layer_path

    file = layer.file
    return {
        "Path": str(layer_path(paths, spec)),
        "Size": layer.size_bytes if file is None else file.size_bytes,
        "Own": file is None,
    }
