"""The writable layer of a container: the disk that takes what is written where its root is only read.

    containers/<id>/layer.ext4     appears whole, by rename; flocked by its machine; goes with the container
    containers/<id>/layer.new      being made, by its owner; else it is garbage, which the next start replaces

One of the user's is a file or a block device elsewhere, which is made by him and stays.
"""

from __future__ import annotations

from pathlib import Path

from firkin.container.root_file import check_unchanged
from firkin.container.spec import ContainerSpec
from firkin.machine.spec import Disk
from firkin.paths import Paths
from firkin.store.files import disk_errors, sync_dir
from firkin.volume.disk import write_disk


def layer_path(paths: Paths, spec: ContainerSpec) -> Path:
    """Where that of `spec`, which has one, is or will be."""
    layer = spec.root.layer
    assert layer is not None
    return paths.container_dir(spec.id) / "layer.ext4" if layer.file is None else Path(layer.file.path)


def layer_disk(paths: Paths, spec: ContainerSpec) -> Disk:
    """It as a disk for a machine."""
    layer, path = spec.root.layer, layer_path(paths, spec)
    if layer is None or layer.file is None:
        return Disk(path=path, format="raw", held_as=f"the writable layer of container {spec.name!r}")
    return Disk(path=path, format="raw", held_as=layer.file.called, on_device=layer.file.device)


def make_ready(paths: Paths, spec: ContainerSpec) -> None:
    """Make what is missing of it. The owner's. Raises StorageFull; of the user's as root_file.examined()."""
    layer, path = spec.root.layer, layer_path(paths, spec)
    assert layer is not None
    if layer.file is not None:
        check_unchanged(layer.file)
        return
    if path.exists():
        return
    new = path.with_name("layer.new")
    try:
        with disk_errors(path):
            new.unlink(missing_ok=True)
            write_disk(new, layer.size_bytes, None, "/")
            new.rename(path)
            sync_dir(path.parent)
    finally:
        new.unlink(missing_ok=True)
