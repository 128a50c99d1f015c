"""Begin: a run as far as nothing has to be waited for, which is nearly always until its VMM runs.

The rule: no event loop is needed and none is imported here, nor what talks to a guest: all of that is loaded
while the VMM is at its own beginning. What needs a registry, a build or a template is left to the Engine.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import msgspec

from firkin.container import names, volume_use
from firkin.container.layers import ready
from firkin.container.leases import leased
from firkin.container.locks import Lock
from firkin.container.naming import new_id
from firkin.container.pod import Member
from firkin.container.record import Record, create
from firkin.container.root import OF_AN_IMAGE, Root
from firkin.container.spec import ContainerSpec, StorageDriver
from firkin.engine import device_words, root_rules, rules, storage
from firkin.engine.filters import filter_for
from firkin.engine.image_names import here
from firkin.engine.isolation_words import check_storage
from firkin.engine.network_rules import check_way_in
from firkin.engine.options import RunOptions
from firkin.engine.resolve import container_spec, disk_bytes
from firkin.errors import NameInUse
from firkin.events import span
from firkin.linux.id_map import IdMap
from firkin.linux.removal import remove_tree
from firkin.oci.image import Image
from firkin.oci.platform import Platform
from firkin.rootfs.record import Rootfs, find, key_of
from firkin.settings import Settings
from firkin.store.files import disk_errors
from firkin.store.store import Store

if TYPE_CHECKING:
    from firkin.machine.namespace.launch import StartedNamespace
    from firkin.machine.started import Started


class Begun(msgspec.Struct, frozen=True):
    """A container on record that is ours, and its VMM, None where that could not start yet."""

    record: Record
    lock: Lock
    started: Started | StartedNamespace | None = None

    def abort(self) -> None:
        """Leave nothing of it."""
        if self.started is not None:
            self.started.abort()
        if self.record.cgroups_path.exists():
            from firkin.engine.namespace_groups import remove_left

            remove_left(self.record)
        remove_tree(self.record.paths.container_run_dir(self.record.id))
        volume_use.remove_container(self.record)
        self.lock.close()


def begin(options: RunOptions, settings: Settings) -> Begun | None:
    """Begin a run that this process will own; None where its image or its disk is not here.

    Whoever gets it gives it to Engine.run(), or aborts it. When this raises, nothing is left. Raises
    UsageError, HostUnsupported, NameInUse and what starting a VMM raises.
    """
    rules.check(options)
    names.check_wanted(options.name, settings.paths)
    store = Store(settings.paths)
    with store.adding():
        begun = _on_record(store, options, settings)
    if begun is None:
        return None
    try:
        return msgspec.structs.replace(begun, started=_started(begun.record, settings))
    except BaseException:
        begun.abort()
        raise


def _on_record(store: Store, options: RunOptions, settings: Settings) -> Begun | None:
    if options.root.file is not None:
        return Begun(*put_file_on_record(options, settings, detached=False))
    image = None if options.pull == "always" else _image(store, options, settings)
    if options.isolation == "namespace":
        from firkin.engine.namespace_begin import place_of

        place = None if image is None else place_of(options, image, settings)
        if image is None or place is None:
            return None
        where = (place.key, place.id_map, place.driver)
        return Begun(*put_tree_on_record(place.options, image, *where, settings, detached=False))
    rootfs = None if image is None else _rootfs(image, options, settings)
    if image is None or rootfs is None:
        return None
    return Begun(*put_on_record(options, image, rootfs, settings, detached=False))


def put_on_record(
    options: RunOptions,
    image: Image,
    rootfs: Rootfs,
    settings: Settings,
    *,
    detached: bool,
    kept: bool = False,
) -> tuple[Record, Lock]:
    """The record of a new container, under its name or one that is made up, owned by us; with `kept` it stays
    whether or not it is started. The caller holds Store.adding(). Raises NameInUse, StorageFull, UsageError,
    HostUnsupported.
    """
    root = root_rules.found(options.root)
    return _put_on_record(options, image, rootfs.key, root, settings, detached=detached, kept=kept)


def put_tree_on_record(
    options: RunOptions,
    image: Image,
    rootfs_key: str,
    id_map: IdMap,
    storage_driver: StorageDriver,
    settings: Settings,
    *,
    detached: bool,
    kept: bool = False,
) -> tuple[Record, Lock]:
    """put_on_record() of a container in namespaces, over the tree of that key."""
    return _put_on_record(
        *(options, image, rootfs_key, OF_AN_IMAGE, settings, id_map, storage_driver),
        detached=detached,
        kept=kept,
    )


def put_file_on_record(
    options: RunOptions, settings: Settings, *, detached: bool, kept: bool = False
) -> tuple[Record, Lock]:
    """put_on_record() of a container whose root is a file of the user's."""
    root = root_rules.found(options.root)
    return _put_on_record(options, None, "", root, settings, detached=detached, kept=kept)


def _put_on_record(
    options: RunOptions,
    image: Image | None,
    rootfs_key: str,
    root: Root,
    settings: Settings,
    id_map: IdMap | None = None,
    storage_driver: StorageDriver = "overlay",
    *,
    detached: bool,
    kept: bool,
) -> tuple[Record, Lock]:
    container_id = new_id()
    declared = (
        image.config.volumes if image is not None and options.pod is None and id_map is None else ()
    )  # a pod has one store for all that is written, and so has a container in namespaces
    asked = msgspec.structs.replace(options.storage, devices=device_words.found(options.storage.devices))
    wished = storage.wished(asked, set(options.targets()), declared, options.image)
    made_with = storage.made(
        settings.paths,
        wished,
        container_id,
        size_bytes=settings.disk_bytes,
        ends_with=options.auto_remove,
    )
    member = isinstance(options.pod, Member)  # has its pod's cards
    addressed = (
        nullcontext(options.network) if member else leased(settings.paths, options.network, container_id)
    )
    with addressed as network, made_with as made:
        options = msgspec.structs.replace(options, network=network)
        check_way_in(options)
        while True:
            spec = container_spec(
                options,
                image,
                rootfs_key=rootfs_key,
                container_id=container_id,
                name=options.name or names.make_up(settings.paths),
                created_ns=time.time_ns(),
                settings=settings,
                storage=made,
                root=root,
                id_map=id_map,
                storage_driver=storage_driver,
                detached=detached,
            )
            check_storage(spec)
            # One that cannot be made is told before anything is.
            filter_for(spec, spec.process.policy, settings)
            try:
                return create(settings.paths, spec, kept=kept)
            except NameInUse:
                if options.name:
                    raise  # a made-up name was just taken: make up another


def _image(store: Store, options: RunOptions, settings: Settings) -> Image | None:
    chosen = options.platform or settings.platform
    return here(store, options.image, Platform.parse(chosen) if chosen else Platform.host())


def _rootfs(image: Image, options: RunOptions, settings: Settings) -> Rootfs | None:
    begin_ns = time.monotonic_ns()
    key = key_of(image.layers, disk_bytes(options, settings))
    found = find(settings.paths.rootfs_dir, key)
    if found is not None:
        span("rootfs", begin_ns, time.monotonic_ns(), key=key)
    return found


def _started(record: Record, settings: Settings) -> Started | StartedNamespace | None:
    spec: ContainerSpec = record.spec()
    if spec.isolation == "namespace":
        from firkin.engine import namespace_begin

        return namespace_begin.started(record, settings)
    from firkin.engine.shape import machine_spec
    from firkin.machine import begin as machines

    with disk_errors(record.paths.volumes_dir):
        if not storage.is_ready(record.paths, spec):
            return None
    volume_use.check_free(record.paths, spec)
    disk = ready(record)
    with record.hold_alive() as alive:
        return machines.begin(
            machine_spec(spec, disk, settings),
            settings=settings,
            dir=record.dir,
            run_dir=record.paths.container_run_dir(record.id),
            alive_fd=alive.fd,
        )
