"""Generate: the manifest of a pod, or of containers with machines of their own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from firkin.container.pod import Member, PodMount, PodVolume, Sandbox
from firkin.container.record import find
from firkin.container.spec import ContainerSpec
from firkin.engine import pod_members
from firkin.engine.root_rules import check_of_an_image
from firkin.errors import FirkinError, UsageError
from firkin.kube import written_pod, yaml_text
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.paths import Paths
from firkin.store.store import Store


class HasImages(Protocol):
    """What generating needs of an Engine."""

    paths: Paths

    @property
    def store(self) -> Store: ...


class Generated(msgspec.Struct, frozen=True):
    """YAML, and what of the pod it cannot say."""

    text: str
    unsaid: tuple[str, ...]


def generate(engine: HasImages, names: Sequence[str]) -> Generated:
    """The manifest of each pod that `names` has, or of one pod with the containers that they are.

    Raises ContainerNotFound, UsageError for a mixture, or for containers that are in a pod.
    """
    specs = [find(engine.paths, name).spec() for name in names]
    pods = [spec for spec in specs if isinstance(spec.pod, Sandbox)]
    if pods and len(pods) != len(specs):
        raise UsageError("pods and containers together", hint="generate the one, then the other")
    if not pods:
        found = [_of_containers(specs)]
    else:
        found = [
            (spec, [member for _, member in pod_members.members(engine.paths, spec.id)]) for spec in pods
        ]

    def image_env(spec: ContainerSpec) -> frozenset[str]:
        try:
            image = engine.store.local_images(Descriptor("", Digest.parse(spec.image_digest), 0))[0]
        except FirkinError:  # it was removed: all its variables are written
            return frozenset()
        return frozenset(image.config.env)

    written = [written_pod.pod(spec, members, image_env) for spec, members in found]
    documents = [document for each in written for document in each.documents]
    unsaid = tuple(what for each in written for what in each.unsaid)
    return Generated("---\n".join(map(yaml_text.dump, documents)), unsaid)


def _of_containers(specs: Sequence[ContainerSpec]) -> tuple[ContainerSpec, list[ContainerSpec]]:
    """A pod for containers that have machines of their own, and they as its members."""
    for spec in specs:
        check_of_an_image(spec, "no image for a manifest to name")
        if isinstance(spec.pod, Member):
            raise UsageError(
                f"container {spec.name!r} is in a pod",
                hint=f"generate that of its pod: firkin kube generate {spec.pod.pod[:12]}",
            )
    first = specs[0]
    volumes: dict[str, PodVolume] = {}
    members = [_member(spec, volumes) for spec in specs]
    pod = msgspec.structs.replace(
        first,
        name=f"{first.name}-pod",
        hostname=first.hostname if len(specs) == 1 else f"{first.name}-pod",
        ports=(),
        cpus=sum(spec.cpus for spec in specs),
        memory_bytes=sum(spec.memory_bytes for spec in specs),
        network=msgspec.structs.replace(
            first.network,
            hosts=tuple(dict.fromkeys(host for spec in specs for host in spec.network.hosts)),
            sysctls={name: value for spec in specs for name, value in spec.network.sysctls.items()},
        ),
        labels={},
        pod=Sandbox(volumes=tuple(volumes.values())),
    )
    return pod, members


def _member(spec: ContainerSpec, volumes: dict[str, PodVolume]) -> ContainerSpec:
    mounts = []
    for made, target, readonly in _mounted(spec):
        name = next((each.name for each in volumes.values() if _alike(each, made)), f"volume-{len(volumes)}")
        volumes[name] = msgspec.structs.replace(made, name=name)
        mounts.append(PodMount(volume=name, target=target, readonly=readonly))
    return msgspec.structs.replace(spec, pod=Member(pod="", mounts=tuple(mounts)))


def _mounted(spec: ContainerSpec) -> Iterable[tuple[PodVolume, str, bool]]:
    for bind in spec.binds:
        file = os.path.basename(bind.source) if os.path.isfile(bind.source) else ""
        yield PodVolume(name="", kind="host", source=bind.source, file=file), bind.target, bind.readonly
    for mount in spec.storage.volumes:
        made = PodVolume(name="") if mount.anonymous else PodVolume(name="", kind="volume", source=mount.name)
        yield made, mount.target, mount.readonly


def _alike(one: PodVolume, other: PodVolume) -> bool:
    return bool(one.source) and (one.kind, one.source) == (other.kind, other.source)
