"""The begin of a run in namespaces, as far as nothing has to be waited for: engine.begin's half of it.

Its record, over a tree that is there, and its namespace, whose PID 1 mounts while the rest is loaded.
What needs a registry, a tree, ids of its own or a copy is left to the Engine.
"""

from __future__ import annotations

import msgspec

from firkin.container.record import Record
from firkin.container.spec import StorageDriver
from firkin.container.storage_driver import choose
from firkin.engine.options import RunOptions
from firkin.engine.userns_words import check_mapped
from firkin.linux.id_map import IdMap
from firkin.linux.subordinate_ids import Holder
from firkin.machine.namespace.launch import StartedNamespace
from firkin.oci.image import Image
from firkin.rootfs import trees
from firkin.settings import Settings


class Place(msgspec.Struct, frozen=True):
    """Where a new container with `options` is to be: over the tree of `key`."""

    options: RunOptions
    key: str
    id_map: IdMap
    driver: StorageDriver


def place_of(options: RunOptions, image: Image, settings: Settings) -> Place | None:
    """That of a run of `image`; None where its tree is not there, or ids are yet to be found for it.

    Raises as namespace_root.put().
    """
    paths, mode = settings.paths, options.id_mode
    if mode.kind == "auto" or not paths.driver_path.exists():
        return None
    holder = Holder.here()
    if not (options.user or image.config.user):
        options = msgspec.structs.replace(options, user=mode.kept_user(holder))
    id_map = mode.map(holder, ())
    check_mapped(options.user or image.config.user, id_map)
    key = trees.key_of(image.layers, id_map)
    if trees.find(paths.rootfs_dir, key) is None:
        return None
    return Place(options, key, id_map, choose(paths, settings.storage_driver).driver)


def started(record: Record, settings: Settings) -> StartedNamespace | None:
    """Its namespace; None where all files of its image are to be copied first. Raises as
    namespace_shape.started().
    """
    from firkin.engine import namespace_shape as shape

    spec = record.spec()
    if spec.storage_driver == "copy":
        return None
    shape.make_ready(record, spec)
    return shape.started(record, spec, settings, "owner")
