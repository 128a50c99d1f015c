"""The word for what keeps a container apart: a machine of its own, or namespaces of the host's kernel.

The rule: it is a machine unless somebody says otherwise, and what cannot be in namespaces is refused with the
reason, before anything is pulled: nothing falls back from one to the other, and nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict, get_args

from firkin.container.spec import ContainerSpec, Isolation
from firkin.engine.options import RunOptions
from firkin.errors import UsageError
from firkin.machine.knobs import Knobs

_KNOBS = {
    "kernel": "--kernel",
    "initramfs": "--initramfs",
    "kernel_args": "--kernel-arg",
    "boot_log": "--boot-log",
    "nested": "--nested",
    "hugepages": "--hugepages",
    "entropy": "--entropy",
    "balloon": "--balloon",
}
_LEAVE = "leave it out, or leave out --isolation namespace"


class IsolationWords(TypedDict, total=False):
    isolation: str


def isolation_of(words: IsolationWords) -> Isolation:
    """What `words` ask for. Raises UsageError."""
    said = words.get("isolation", "vm")
    for known in get_args(Isolation):
        if said == known:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"isolation: {said!r} is not known", hint=f"give {' or '.join(get_args(Isolation))}")


def check_isolation(options: RunOptions) -> None:
    """Refuse what only a machine can have, in namespaces. Raises UsageError."""
    if options.isolation == "vm":
        return
    for field, why in _refusals(options):
        raise UsageError(f"{field}: {why}", hint=_LEAVE)


def _refusals(options: RunOptions) -> Iterator[tuple[str, str]]:
    default = Knobs()
    for field, flag in _KNOBS.items():
        if getattr(options.knobs, field) != getattr(default, field):
            yield field, f"{flag} is about a machine, and a container in namespaces has the host's kernel"
    if options.pod is not None:
        yield "pod", "the containers of a pod share a machine, and namespaces are none"
    if options.bundle is not None:
        yield "bundle", "bundles are run in machines"
    if options.root.file is not None:
        yield "rootfs", "a disk is for a machine; only it mounts what nobody has examined"
    if options.root.layer is not None:
        yield "writable_layer", "it is a disk for a machine"
    if options.storage.devices:
        yield "device", "a disk is given to a machine; a container in namespaces makes no devices"
    if options.disk_bytes is not None:
        yield "disk", "a container in namespaces has no disk of its own; it writes to the host's file system"
    if options.network.private:
        yield "network", "private networks connect machines; a container in namespaces has `user` or `none`"
    if options.network.ipv6:
        yield "network", "the user network of a container in namespaces has no IPv6"


def check_storage(spec: ContainerSpec) -> None:
    """Refuse volumes that are disks, in namespaces. Raises UsageError."""
    if spec.isolation == "namespace" and spec.storage.disks:
        volume = spec.storage.disks[0]
        raise UsageError(
            f"volume: {volume.name} is a disk, which a machine mounts and a container in namespaces does not",
            hint="make one that is a directory: firkin volume create --driver dir NAME",
        )
