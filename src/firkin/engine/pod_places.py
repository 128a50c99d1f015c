"""Where things are in a pod's machine, and what its agent is told to put them there. Pure data.

/pod                              the store: an ext4 on the pod's disk
/pod/layers/<chain>               what one layer changes, on those below it
/pod/making/<chain>/{root,work}   the layers below it, while it is unpacked
/pod/containers/<id>/upper,work   what a member has written; root: its root, while it is being made
/pod/volumes/<name>               what members share: a directory, a tmpfs, a directory of the host, a volume
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from firkin.container.pod import PodMount, PodVolume, Sandbox
from firkin.container.storage import Storage
from firkin.engine.batch import volume_mounts
from firkin.machine.spec import Share
from firkin.oci.digest import Digest
from firkin.volume.mount import VolumeMount
from firkin.wire import messages as wire
from firkin.wire.trees import Pack, Task

STORE_DEVICE = "/dev/vda"
STORE = "/pod"
LAYERS, MAKING, CONTAINERS, VOLUMES = (
    f"{STORE}/{name}" for name in ("layers", "making", "containers", "volumes")
)
NAME_DIGITS = 16
"""Of a chain id: an overlay names all its layers in one page."""
MAX_LAYERS = 120


def layer_name(chain: Digest) -> str:
    """The name of a layer's directory."""
    return chain.hex[:NAME_DIGITS]


def layer_dir(name: str) -> str:
    return f"{LAYERS}/{name}"


def making_root(name: str) -> str:
    return f"{MAKING}/{name}/root"


def member_name(container_id: str) -> str:
    return container_id[:12]


def member_root(container_id: str) -> str:
    """Where a member's root is while it is being made."""
    return f"{CONTAINERS}/{member_name(container_id)}/root"


def placed(task: Task, container_id: str) -> tuple[Task, str]:
    """`task` of a member as its pod's agent is asked for it, and in which container: what it has written is
    the machine's.
    """
    if isinstance(task, Pack) and task.written:
        upper = f"{CONTAINERS}/{member_name(container_id)}/upper".encode()
        return msgspec.structs.replace(task, paths=(upper,), written=False), ""
    return task, container_id


def store_ops(sandbox: Sandbox, kept_layers: Iterable[str], member_ids: Iterable[str]) -> tuple[wire.Op, ...]:
    """The store as a pod finds it at its start: what is of no use there any more goes."""
    return (
        wire.MountShared(type="ext4", source=STORE_DEVICE, target=STORE),
        wire.Sweep(target=LAYERS, keep=tuple(kept_layers)),
        wire.Sweep(target=MAKING, keep=()),
        members_op(member_ids),
        *(volume_op(each, index) for index, each in enumerate(sandbox.volumes) if each.kind != "volume"),
    )


def members_op(member_ids: Iterable[str]) -> wire.Op:
    """What removed members wrote goes."""
    return wire.Sweep(target=CONTAINERS, keep=tuple(map(member_name, member_ids)))


def volume_dir(name: str) -> str:
    return f"{VOLUMES}/{name}"


def named_volumes(volumes: Iterable[PodVolume]) -> Storage:
    """Those of `volumes` that have names of their own, as what a pod has beside its store."""
    return Storage(
        volumes=tuple(
            VolumeMount(name=each.source, target=volume_dir(each.name), copy=False)
            for each in volumes
            if each.kind == "volume"
        )
    )


def named_ops(storage: Storage) -> tuple[wire.Op, ...]:
    """What mounts them."""
    return tuple(
        wire.MountShared(
            type="ext4" if each.type == "disk" else each.type, source=each.source, target=each.target
        )
        for each in volume_mounts(storage, 0)
    )


def volume_op(volume: PodVolume, index: int) -> wire.Op:
    """What makes `volume`, number `index` of its pod, which has no name of its own."""
    target = volume_dir(volume.name)
    if volume.kind == "host":
        return wire.MountShared(type="virtiofs", source=share_tag(index), target=target)
    if volume.kind == "disk":
        return wire.MountShared(type="directory", target=target, mode=volume.mode)
    size = () if volume.size_bytes is None else (f"size={volume.size_bytes}",)
    options = ("nosuid", "nodev", f"mode={volume.mode:04o}", *size)
    return wire.MountShared(type="tmpfs", target=target, options=options)


def shares(volumes: Sequence[PodVolume]) -> tuple[Share, ...]:
    """What the machine of a pod with `volumes` shares with the host."""
    return tuple(
        Share(tag=share_tag(index), source=Path(volume.source), readonly=volume.readonly)
        for index, volume in enumerate(volumes)
        if volume.kind == "host"
    )


def share_tag(index: int) -> str:
    return f"pod{index}"


def below_op(name: str, below: Sequence[str]) -> wire.Op:
    """Where layer `name` is unpacked: on those `below` it, the uppermost first, so that what it removes of
    them is on record as overlayfs writes it.
    """
    if not below:
        return wire.MountShared(type="directory", target=layer_dir(name))
    return wire.MountShared(
        type="overlay",
        target=making_root(name),
        lower=tuple(map(layer_dir, below)),
        upper=layer_dir(name),
        work=f"{MAKING}/{name}/work",
    )


def root_op(container_id: str, layers: Sequence[str]) -> wire.Op:
    """A member's root: what it writes, over `layers`, the uppermost first."""
    place = f"{CONTAINERS}/{member_name(container_id)}"
    return wire.MountShared(
        type="overlay",
        target=member_root(container_id),
        lower=tuple(map(layer_dir, layers)),
        upper=f"{place}/upper",
        work=f"{place}/work",
    )


def pod_mounts(mounts: Sequence[PodMount], volumes: Sequence[PodVolume]) -> list[wire.Mount]:
    """The volumes of a pod as a member mounts them."""
    readonly = {volume.name for volume in volumes if volume.readonly}
    return [
        wire.Mount(
            type="bind",
            source=volume_dir(each.volume) + (f"/{each.inner}" if each.inner else ""),
            target=each.target,
            options=("ro",) if each.readonly or each.volume in readonly else (),
        )
        for each in mounts
    ]
