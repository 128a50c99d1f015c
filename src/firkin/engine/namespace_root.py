"""What lies under a container's own layer, in namespaces: a tree of its image's layers, made once for all.

data/rootfs/<key>/           the tree, see rootfs.trees
containers/<id>/upper ...    what the container writes, see rootfs.upper
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import msgspec

from firkin.container.id_maps import table, taken
from firkin.container.locks import Lock
from firkin.container.record import Record
from firkin.container.storage_driver import choose
from firkin.engine.options import RunOptions
from firkin.engine.userns_words import check_mapped
from firkin.linux.id_map import IdMap
from firkin.linux.subordinate_ids import Holder
from firkin.oci.image import Image
from firkin.rootfs import trees
from firkin.rootfs.record import OpenBlob
from firkin.settings import Settings


async def put(
    options: RunOptions,
    image: Image,
    settings: Settings,
    open_blob: OpenBlob,
    *,
    detached: bool,
    kept: bool,
) -> tuple[Record, Lock]:
    """The record of a new container in namespaces, with its ids and over its tree, owned by us.

    Ids of its own are chosen, and chosen anew where another container got them while the tree was made. The
    caller holds Store.adding(). Raises as rootfs.trees.build(), IdMode.map() and put_tree_on_record().
    """
    from firkin.aio.thread import in_thread
    from firkin.engine.begin import put_tree_on_record

    holder, mode, paths = Holder.here(), options.id_mode, settings.paths
    if not (options.user or image.config.user):
        options = msgspec.structs.replace(options, user=mode.kept_user(holder))
    driver = (await in_thread(partial(choose, paths, settings.storage_driver))).driver
    shared = mode.kind != "auto"
    while True:
        id_map = mode.map(holder, () if shared else taken(paths))
        check_mapped(options.user or image.config.user, id_map)
        tree = await in_thread(partial(tree_of, image, settings, id_map, open_blob))
        with nullcontext() if shared else table(paths):
            if shared or mode.map(holder, taken(paths)) == id_map:
                return put_tree_on_record(
                    options, image, tree.key, id_map, driver, settings, detached=detached, kept=kept
                )


def tree_of(image: Image, settings: Settings, id_map: IdMap, open_blob: OpenBlob) -> trees.RootTree:
    """The tree of `image`, made where it is missing; heavy then. Raises as rootfs.trees.build()."""
    return trees.build(
        image.layers,
        open_blob=open_blob,
        rootfs_dir=settings.paths.rootfs_dir,
        id_map=id_map,
        limit_bytes=settings.disk_bytes,
    )
