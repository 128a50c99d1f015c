"""Batch: everything that a freshly booted machine is told, as one tuple of wire operations in one round trip.

Pure data: the clock's time and the entropy come in as arguments, so a batch can be compared and printed. The
order matters: clock and entropy before any user code runs (a forked machine wakes with an old clock and its
siblings' random state), the network before who uses it, the container's root before its process.
"""

from __future__ import annotations

import posixpath
import uuid

import msgspec

from firkin.container.spec import Bind, ContainerSpec
from firkin.container.storage import Storage
from firkin.engine.shape import share_tag
from firkin.linux.cgroup.limits import UNLIMITED, Limits
from firkin.network.guest import GuestNetwork, hosts
from firkin.volume.mount import VolumeMount
from firkin.wire import messages as wire
from firkin.wire import usage as wire_usage

SEED_BYTES = 256


def prologue(now_ns: int, seed: bytes) -> tuple[wire.Op, ...]:
    """What any machine hears first: the time, and randomness of its own."""
    return (wire.Clock(sec=now_ns // 10**9, nsec=now_ns % 10**9), wire.Entropy(seed=seed))


def identity_ops(spec: ContainerSpec, guest: GuestNetwork, was: str) -> tuple[wire.Op, ...]:
    """What makes the container that the agent knows as `was` the one of `spec`, which nobody else is."""
    identity = wire.Identity(
        container=was,
        rename=spec.id if spec.id != was else "",
        hostname=spec.hostname,
        machine_id=uuid.uuid4().hex,
        files=own_files(spec, guest),
    )
    return (*guest.guards, identity, *guest.cards)


def container_op(spec: ContainerSpec, guest: GuestNetwork, single_files: frozenset[str]) -> wire.Container:
    """The container's root, mounts and files. `single_files` are the bind sources that are no directory."""
    binds = [_bind_mount(index, bind, bind.source in single_files) for index, bind in enumerate(spec.binds)]
    volumes = volume_mounts(spec.storage, len(binds), first_disk=spec.root.disks)
    tmpfs = [
        wire.Mount(type="tmpfs", source="tmpfs", target=each.target, options=each.options)
        for each in spec.tmpfs
    ]
    mounts = sorted(binds + volumes + tmpfs, key=lambda mount: mount.target)  # /a before /a/b
    return wire.Container(
        container=spec.id,
        root=wire.Root(
            device=disk_device(0),
            readonly=spec.read_only,
            grow_bytes=_grown_bytes(spec),
            upper=msgspec.UNSET if spec.root.layer is None else disk_device(1),
        ),
        hostname=spec.hostname,
        mounts=tuple(mounts),
        devices=_devices(spec) if spec.storage.devices else msgspec.UNSET,
        files=own_files(spec, guest),
        masked=spec.protected.masked,
        readonly_paths=spec.protected.read_only,
        sysctls=_domain(spec) | spec.network.sysctls,
        shm_bytes=spec.shm_bytes,
    )


def _grown_bytes(spec: ContainerSpec) -> int:
    """What its file system is to grow to, on a disk that is larger; 0: an image's is made in its size."""
    file = spec.root.file if spec.root.layer is None else None
    return spec.disk_bytes if file is not None and spec.disk_bytes > file.size_bytes else 0


def limit_ops(spec: ContainerSpec) -> tuple[wire.Op, ...]:
    """What holds the container to its limits, before anything runs in it."""
    return () if spec.limits == UNLIMITED else (limit_op(spec.id, spec.limits),)


def limit_op(container_id: str, limits: Limits) -> wire_usage.Limit:
    """`limits` as the agent is told; what is None there is no limit."""
    return wire_usage.Limit(
        container=container_id,
        memory_bytes=limits.memory_bytes or 0,
        cpu_quota_us=0 if limits.cpus is None else round(limits.cpus * wire_usage.CPU_PERIOD_US),
        pids=limits.pids or 0,
    )


def _bind_mount(index: int, bind: Bind, single_file: bool) -> wire.Mount:
    options = [
        *(["ro"] if bind.readonly else []),
        *bind.options,
        *([f"file={posixpath.basename(bind.source)}"] if single_file else []),
    ]
    return wire.Mount(type="virtiofs", source=share_tag(index), target=bind.target, options=tuple(options))


def volume_mounts(storage: Storage, shares: int, *, first_disk: int = 1) -> list[wire.Mount]:
    """The volumes: disks from number `first_disk` on, directories behind the first `shares` shares."""
    found = []
    for index, volume in enumerate(storage.disks):
        found.append(_volume_mount("disk", disk_device(first_disk + index), volume))
    for index, volume in enumerate(storage.directories):
        found.append(_volume_mount("virtiofs", share_tag(shares + index), volume))
    return found


def _devices(spec: ContainerSpec) -> tuple[wire.Device, ...]:
    first = spec.root.disks + len(spec.storage.disks)
    return tuple(
        wire.Device(
            path=each.target,
            device=disk_device(first + index),
            readonly=each.readonly,
            mode=each.mode,
            uid=each.uid,
            gid=each.gid,
        )
        for index, each in enumerate(spec.storage.devices)
    )


def disk_device(index: int) -> str:
    """The guest's device of disk number `index`: the root, its writable layer, volumes, devices."""
    return f"/dev/vd{chr(ord('a') + index)}"


def _volume_mount(kind: str, source: str, volume: VolumeMount) -> wire.Mount:
    options = (*(["ro"] if volume.readonly else []), *volume.options)
    return wire.Mount(type=kind, source=source, target=volume.target, options=options)


def own_files(spec: ContainerSpec, guest: GuestNetwork) -> tuple[wire.File, ...]:
    """The files that are the agent's, but for those that the container mounts something else over."""
    covered = {each.target for each in spec.binds} | {each.target for each in spec.tmpfs}
    covered |= {each.target for each in spec.storage.volumes}
    contents = {
        "/etc/hostname": f"{spec.hostname}\n".encode(),
        "/etc/hosts": hosts(spec.network, spec.hostname, guest.address),
        "/etc/resolv.conf": guest.resolv_conf,
    }
    return tuple(
        wire.File(path=path, mode=0o644, data=content)
        for path, content in contents.items()
        if path not in covered
    )


def _domain(spec: ContainerSpec) -> dict[str, str]:
    """The domain that uname(2) shows, as a sysctl of the container's uts namespace."""
    return {"kernel.domainname": spec.network.domain} if spec.network.domain else {}
