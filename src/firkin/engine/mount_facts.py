"""MountFacts: what is mounted in a container, with the names that `docker inspect` uses."""

from __future__ import annotations

from typing import Any

from firkin.container.pod import Member, PodMount
from firkin.container.spec import Bind, ContainerSpec, Tmpfs
from firkin.paths import Paths
from firkin.volume.mount import VolumeMount
from firkin.volume.record import disk_path


def mount_facts(spec: ContainerSpec, paths: Paths) -> list[dict[str, Any]]:
    """`Mounts` of a container. `Transport` is how it gets there: virtiofs, a virtio disk of its own, or in
    namespaces a bind mount.
    """
    shared = "virtiofs" if spec.isolation == "vm" else "bind"
    return [
        *(_bind(bind, shared) for bind in spec.binds),
        *(_volume(volume, paths, shared) for volume in spec.storage.volumes),
        *(_tmpfs(each) for each in spec.tmpfs),
        *(_pod(each) for each in (spec.pod.mounts if isinstance(spec.pod, Member) else ())),
    ]


def binds(spec: ContainerSpec) -> list[str]:
    """`HostConfig.Binds`: what -v was told, but for volumes that nobody named."""
    said = [
        (bind.source, bind.target, _mode(bind.readonly, bind.options, bind.owners)) for bind in spec.binds
    ]
    for volume in spec.storage.volumes:
        if not volume.anonymous:
            said.append((volume.name, volume.target, _mode(volume.readonly, volume.options, volume.owners)))
    return [":".join(filter(None, each)) for each in said]


def _bind(bind: Bind, transport: str) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": bind.source,
        "Destination": bind.target,
        "Mode": _mode(bind.readonly, bind.options, bind.owners),
        "RW": not bind.readonly,
        "Propagation": "rprivate",
        "Transport": transport,
    }


def _volume(volume: VolumeMount, paths: Paths, shared: str) -> dict[str, Any]:
    disk = volume.driver == "disk"
    return {
        "Type": "volume",
        "Name": volume.name,
        "Source": str(disk_path(paths, volume.name)) if disk else volume.path,
        "Destination": volume.target,
        "Driver": volume.driver,
        "Mode": _mode(volume.readonly, volume.options, volume.owners),
        "RW": not volume.readonly,
        "Propagation": "",
        "Transport": "virtio-blk" if disk else shared,
    }


def _pod(mount: PodMount) -> dict[str, Any]:
    """A volume of its pod."""
    return {
        "Type": "volume",
        "Name": mount.volume,
        "Source": "",
        "Destination": mount.target,
        "Driver": "pod",
        "Mode": _mode(mount.readonly, ()),
        "RW": not mount.readonly,
        "Propagation": "",
    }


def _tmpfs(each: Tmpfs) -> dict[str, Any]:
    return {
        "Type": "tmpfs",
        "Source": "",
        "Destination": each.target,
        "Mode": ",".join(each.options),
        "RW": "ro" not in each.options,
        "Propagation": "",
    }


def _mode(readonly: bool, options: tuple[str, ...], owners: str = "") -> str:
    return ",".join((*(["ro"] if readonly else []), *options, *filter(None, [owners])))
