"""The namespace of a container, as engine.shape is for machines, and its start where nothing is waited for.

The rule: no event loop is needed and none is imported here, so the namespace is made before most of firkin is
loaded.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from firkin.container.record import Record
from firkin.container.spec import ContainerSpec
from firkin.engine import namespace_groups as groups
from firkin.engine.given_away import give
from firkin.errors import Corrupt, HostUnsupported
from firkin.machine.namespace.launch import StartedNamespace, launch
from firkin.machine.namespace.network import UserNetwork
from firkin.machine.namespace.spec import NamespaceSpec
from firkin.paths import Paths
from firkin.rootfs import trees, upper
from firkin.settings import Settings
from firkin.store.files import disk_errors

if TYPE_CHECKING:
    from firkin.machine.launch import Lifetime


def started(record: Record, spec: ContainerSpec, settings: Settings, lifetime: Lifetime) -> StartedNamespace:
    """The namespace of the container of `record`, whose files make_ready() has made, for a Namespace to take
    over; its control group is on record.

    Raises HostUnsupported, UsageError, PortInUse, Corrupt; then nothing is left of it.
    """
    wanted = namespace_spec(record, spec, settings)
    try:
        with record.hold_alive() as alive:
            group = groups.made(record, spec)
            run_dir = record.paths.container_run_dir(record.id)
            return launch(wanted, run_dir=run_dir, lifetime=lifetime, alive_fd=alive.fd, group=group)
    except OSError as error:
        groups.remove_left(record)
        raise HostUnsupported(
            f"cannot start container {spec.name!r} in namespaces: {error}",
            hint="`firkin doctor` looks for the reason",
        ) from error
    except BaseException:
        groups.remove_left(record)
        raise


def make_ready(record: Record, spec: ContainerSpec) -> None:
    """Make what it writes to, where that is missing, and give it the volumes that are to be its user's.

    Raises Corrupt, HostUnsupported, StorageFull.
    """
    assert spec.id_map is not None
    with disk_errors(record.dir):
        lower = partial(lower_of, record.paths, spec)
        upper.make(record.dir, lower, spec.id_map, copied=spec.storage_driver == "copy")
        give(record, spec, lower)


def namespace_spec(record: Record, spec: ContainerSpec, settings: Settings) -> NamespaceSpec:
    """The namespace that `spec` needs. Raises Corrupt where its image's tree is gone."""
    assert spec.id_map is not None
    return NamespaceSpec(
        name=spec.name,
        dir=record.dir,
        lower=None if spec.storage_driver == "copy" else lower_of(record.paths, spec),
        fuse=_fuse(spec),
        id_map=spec.id_map,
        binds=_sources(spec),
        idmapped=_idmapped(spec),
        network=_network(spec),
        boot_timeout_s=settings.boot_timeout_s,
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


def _fuse(spec: ContainerSpec) -> str:
    if spec.storage_driver != "fuse-overlayfs":
        return ""
    from firkin.container.storage_driver import require_fuse

    return require_fuse()


def _network(spec: ContainerSpec) -> UserNetwork | None:
    if not spec.network.interfaces:
        return None
    mac = spec.network.interfaces[0].mac
    return UserNetwork(ports=spec.forwarded_ports, host_loopback=spec.network.host_loopback, mac=mac)


def _sources(spec: ContainerSpec) -> tuple[str, ...]:
    """In the order of the shares that a machine would have."""
    return (*(bind.source for bind in spec.binds), *(each.path for each in spec.storage.directories))


def _idmapped(spec: ContainerSpec) -> frozenset[int]:
    owners = [bind.owners for bind in spec.binds] + [each.owners for each in spec.storage.directories]
    return frozenset(number for number, each in enumerate(owners) if each == "idmap")
