"""Rules of pods, checked before anything is made: what a pod may be, and who may join it.

A member's machine is its pod's, so what belongs to the machine is said of the pod; what a member leaves open
it has from the pod. Each refusal names the field and the rule.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec

from firkin.container.pod import Member, PodMount, PodVolume, Sandbox
from firkin.container.record import Running
from firkin.container.spec import ContainerSpec
from firkin.engine import rules
from firkin.engine.network_rules import check_relayed
from firkin.engine.options import RunOptions
from firkin.engine.pod_members import Pod
from firkin.errors import HostUnsupported, UsageError, WrongState
from firkin.linux.cgroup.limits import Limits
from firkin.machine.knobs import Knobs
from firkin.machine.spec import PublishedPort
from firkin.network.spec import Dns, NetworkSpec


def check_pod(options: RunOptions) -> None:
    """Refuse a pod that cannot be. Raises UsageError, HostUnsupported."""
    assert isinstance(options.pod, Sandbox)
    rules.check(options)
    for volume in options.pod.volumes:
        _check_volume(volume)
    _check_targets([mount.target for mount in options.pod.mounts])


def joined(options: RunOptions, pod: Pod) -> RunOptions:
    """`options` of a container as they are in `pod`: what they leave open is the pod's.

    Raises UsageError, WrongState.
    """
    assert isinstance(options.pod, Member)
    _check_own_machine(options, pod)
    mounts = tuple(_found(mount, pod) for mount in options.pod.mounts)
    own = {mount.target for mount in mounts} | {each.target for each in options.tmpfs}
    _check_targets([*(mount.target for mount in mounts), *(each.target for each in options.tmpfs)])
    inherited = tuple(each for each in pod.sandbox.mounts if each.target not in own)
    result = msgspec.structs.replace(
        options,
        hostname=options.hostname or pod.spec.hostname,
        env=(*pod.sandbox.env, *options.env),
        network=_network(options.network, pod.spec.network),
        limits=_limits(options),
        cpus=pod.spec.cpus,
        memory_bytes=pod.spec.memory_bytes,
        disk_bytes=pod.spec.disk_bytes,
        pod=msgspec.structs.replace(options.pod, pod=pod.record.id, mounts=(*mounts, *inherited)),
    )
    rules.check(result)
    return result


def check_ports(options: RunOptions, pod: Pod) -> None:
    """Refuse ports that clash in the pod, or that come too late. Raises UsageError, WrongState."""
    _check_clashes(options.ports, pod)
    theirs = tuple(port for _, spec in pod.members() for port in spec.ports)
    check_relayed((*options.ports, *theirs, *pod.spec.ports))
    state = pod.record.state()
    if not isinstance(state, Running):
        return
    there = {(port.guest_port, port.protocol) for port in state.ports}
    for port in options.ports:
        if (port.guest_port, port.protocol) not in there:
            raise WrongState(
                f"publish: pod {pod.name!r} runs, and does not publish {port.guest_port}/{port.protocol}",
                hint=f"`firkin pod stop {pod.name}` first, or publish it with `firkin pod create -p`",
            )


def _check_clashes(ports: Iterable[PublishedPort], pod: Pod) -> None:
    others = [(spec.name, port) for _, spec in pod.members() for port in spec.ports]
    taken = [(f"pod {pod.name!r} itself", port) for port in pod.spec.ports]
    for port in ports:
        for name, other in (*taken, *((f"container {name!r}", other) for name, other in others)):
            if port == other and name.startswith("pod "):
                continue  # the pod publishes it for whoever listens there
            if (port.guest_port, port.protocol) == (other.guest_port, other.protocol):
                raise UsageError(
                    f"publish: port {port.guest_port}/{port.protocol} is taken by {name}, "
                    "and a pod has one network",
                    hint="let one of them listen on another port",
                )
            if port.host_port and _on_host(port) == _on_host(other):
                raise UsageError(
                    f"publish: host port {port.host_port}/{port.protocol} is taken by {name}",
                    hint="choose another",
                )


def _on_host(port: PublishedPort) -> tuple[int, str, bool]:
    """What two ports of one pod cannot have both."""
    return port.host_port, port.protocol, port.ipv6


def check_fits(stored_bytes: int, image: str, pod: Pod) -> None:
    """Refuse an image whose layers are, still compressed, more than the whole store. Raises UsageError."""
    if stored_bytes > pod.spec.disk_bytes:
        raise UsageError(
            f"disk: the layers of {image} have {stored_bytes} bytes, and the store of pod {pod.name!r} "
            f"{pod.spec.disk_bytes}",
            hint="make the pod with a larger --disk",
        )


def _check_own_machine(options: RunOptions, pod: Pod) -> None:
    if options.disk_bytes is not None and options.disk_bytes != pod.spec.disk_bytes:
        raise UsageError(
            f"disk: container and pod {pod.name!r} have one store", hint="say --disk to `firkin pod create`"
        )
    for field, asked, there in (
        ("memory", options.memory_bytes, pod.spec.memory_bytes),
        ("cpus", options.cpus, pod.spec.cpus),
    ):
        if asked is not None and asked > there:
            raise UsageError(
                f"{field}: {asked} is more than the {there} that pod {pod.name!r} has",
                hint=f"ask for less, or say --{field} to `firkin pod create`",
            )
    if options.knobs != Knobs():
        raise UsageError(
            f"machine: a container of pod {pod.name!r} has the pod's, and is told nothing of its own",
            hint="run it outside of the pod",
        )
    if options.storage.devices:
        raise UsageError(
            f"device: a machine has its disks from its start, and that of pod {pod.name!r} is the pod's",
            hint="run it outside of the pod",
        )
    if options.binds or options.storage.volumes:
        raise UsageError(
            f"mount: what a container of pod {pod.name!r} mounts is the pod's",
            hint="give the volume to `firkin pod create -v`, and name it here with -v",
        )
    if options.network.interfaces not in (NetworkSpec().interfaces, pod.spec.network.interfaces):
        raise UsageError(
            f"network: container and pod {pod.name!r} have one network",
            hint="say --network to `firkin pod create`",
        )
    if options.network.publish_all:
        raise UsageError("publish_all: a pod knows its ports before its containers", hint="publish with -p")


def _limits(options: RunOptions) -> Limits:
    """What it asked for of the pod's machine: its cgroup keeps it to that."""
    limits = options.limits
    cpus = limits.cpus if limits.cpus is not None else options.cpus
    memory = limits.memory_bytes if limits.memory_bytes is not None else options.memory_bytes
    return msgspec.structs.replace(limits, cpus=None if cpus is None else float(cpus), memory_bytes=memory)


def _network(own: NetworkSpec, pods: NetworkSpec) -> NetworkSpec:
    return msgspec.structs.replace(
        own,
        interfaces=pods.interfaces,
        host_loopback=pods.host_loopback,
        dns=pods.dns if own.dns == Dns() else own.dns,
        hosts=(*pods.hosts, *own.hosts),
        domain=own.domain or pods.domain,
        sysctls={**pods.sysctls, **own.sysctls},
    )


def _found(mount: PodMount, pod: Pod) -> PodMount:
    """`mount` with the name of its volume, which may be told by the host's path. Raises UsageError."""
    for volume in pod.sandbox.volumes:
        if mount.volume == volume.name or (volume.kind == "host" and mount.volume == volume.source):
            return msgspec.structs.replace(mount, volume=volume.name)
    raise UsageError(
        f"volume: pod {pod.name!r} has no volume {mount.volume!r}",
        hint=f"it shares {_listed(pod.sandbox)}; give it more with `firkin pod create -v`",
    )


def _listed(sandbox: Sandbox) -> str:
    names = [each.source or each.name for each in sandbox.volumes]
    return ", ".join(names) if names else "none"


def _check_targets(targets: list[str]) -> None:
    for target in targets:
        if targets.count(target) > 1:
            raise UsageError(f"volume: two mounts at {target}", hint="give each a place of its own")


def _check_volume(volume: PodVolume) -> None:
    if volume.kind != "host":
        if volume.size_bytes is not None and volume.size_bytes <= 0:
            raise UsageError(
                f"volume {volume.name}: a size of {volume.size_bytes} bytes", hint="give 64k or more"
            )
        return
    if not (os.path.isfile(volume.source) if volume.file else os.path.isdir(volume.source)):
        kind = "file" if volume.file else "directory"
        raise UsageError(
            f"volume: host path {volume.source} is not a {kind}", hint="make it, or mend the path"
        )
    if not os.access(volume.source, os.R_OK | (0 if volume.file else os.X_OK)):
        raise HostUnsupported(
            f"volume: host path {volume.source} is not readable by you", hint="change its mode or owner"
        )


def check_names(specs: Iterable[ContainerSpec]) -> None:
    """Refuse two of one name. Raises UsageError."""
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"name: two containers of the pod are called {name!r}", hint="rename one")
