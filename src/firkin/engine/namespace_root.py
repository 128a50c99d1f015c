"""What lies under a container's own layer, in namespaces: a tree of its image's layers, made once for all.

data/rootfs/<key>/           the tree, see rootfs.trees
containers/<id>/upper  work  what the container writes, and overlayfs' own directory
"""

from __future__ import annotations

from pathlib import Path

from firkin.container.spec import ContainerSpec
from firkin.errors import Corrupt
from firkin.linux.id_map import IdMap
from firkin.oci.image import Image
from firkin.paths import Paths
from firkin.rootfs import trees
from firkin.rootfs.record import OpenBlob
from firkin.settings import Settings


def default_map() -> IdMap:
    """Who a container's users are unless somebody says otherwise. Reads this host's subordinate ids."""
    from firkin.linux.id_modes import whole
    from firkin.linux.subordinate_ids import Holder

    return whole(Holder.here())


def tree_of(image: Image, settings: Settings, id_map: IdMap, open_blob: OpenBlob) -> trees.RootTree:
    """The tree of `image`, made where it is missing; heavy then. Raises as rootfs.trees.build()."""
    return trees.build(
        image.layers,
        open_blob=open_blob,
        rootfs_dir=settings.paths.rootfs_dir,
        id_map=id_map,
        limit_bytes=settings.disk_bytes,
    )


def lower_of(paths: Paths, spec: ContainerSpec) -> Path:
    """The tree that `spec` was made over. Raises Corrupt where it is gone."""
    found = trees.find(paths.rootfs_dir, spec.rootfs_key)
    if found is None:
        raise Corrupt(
            f"the tree {spec.rootfs_key} under container {spec.name!r} is missing",
            hint="remove the container, and run it anew",
        )
    return found.path
