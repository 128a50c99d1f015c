"""Which containers are in which pod, as the disk has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from firkin.container import names
from firkin.container.pod import Member, Sandbox
from firkin.container.record import Record, State, records
from firkin.container.spec import ContainerSpec
from firkin.container.state import word
from firkin.errors import ContainerNotFound, Corrupt, FirkinError, PodNotFound, WrongState
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.oci.image import Image
from firkin.paths import Paths
from firkin.store.files import disk_errors
from firkin.store.lock import locked
from firkin.store.store import Store

_LOCK_DEADLINE_S = 10.0
_GOING = "going"
SNAPSHOTS = "only a container with a machine of its own is kept as a snapshot"
OWN_DISK = "only a container with a machine of its own has a disk to look at"


class Pod(msgspec.Struct, frozen=True):
    """A pod on record, which was there when this was made."""

    record: Record
    spec: ContainerSpec
    sandbox: Sandbox

    @property
    def name(self) -> str:
        return self.spec.name

    def members(self) -> list[tuple[Record, ContainerSpec]]:
        """Its members, in the order in which they were made; those that cannot be read are left out."""
        return members(self.record.paths, self.record.id)

    @contextmanager
    def joining(self) -> Iterator[None]:
        """A member may be put on record in the block, one at a time. Raises InUse, PodNotFound."""
        with self._locked():
            if (self.record.dir / _GOING).exists():
                raise PodNotFound(f"pod {self.name!r} is being removed")
            yield

    def close(self) -> None:
        """Let no member join any more. Raises InUse, PodNotFound."""
        with self._locked(), disk_errors(self.record.dir):
            (self.record.dir / _GOING).touch(mode=0o600)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if not self.record.dir.is_dir():
            raise PodNotFound(f"pod {self.name!r} was removed")
        what = f"pod {self.name!r} is being changed"
        with locked(self.record.dir / "joining", shared=False, deadline_s=_LOCK_DEADLINE_S, what=what):
            yield


def find(paths: Paths, text: str) -> Pod:
    """The pod that `text` names, as a container is named. Raises PodNotFound, UsageError, Corrupt."""
    try:
        record = Record(paths, names.of(paths).lookup(text))
        spec = record.spec()
    except ContainerNotFound as error:
        raise PodNotFound(f"no such pod: {text!r}", hint="`firkin pod ps` lists them") from error
    if not isinstance(spec.pod, Sandbox):
        raise PodNotFound(f"{text!r} is a container, and no pod", hint="`firkin pod ps` lists pods")
    return Pod(record, spec, spec.pod)


def pods(paths: Paths) -> list[Pod]:
    """Every pod that can be read, those made first in front."""
    found = [Pod(record, spec, spec.pod) for record, spec in _read(paths) if isinstance(spec.pod, Sandbox)]
    return sorted(found, key=lambda pod: pod.spec.created_ns)


def members(paths: Paths, pod_id: str) -> list[tuple[Record, ContainerSpec]]:
    """The members of the pod of that id, in the order in which they were made."""
    found = [
        (record, spec)
        for record, spec in _read(paths)
        if isinstance(spec.pod, Member) and spec.pod.pod == pod_id
    ]
    return sorted(found, key=lambda each: each[1].created_ns)


def _read(paths: Paths) -> Iterator[tuple[Record, ContainerSpec]]:
    for record in records(paths):
        try:
            yield record, record.spec()
        except (ContainerNotFound, Corrupt):
            continue  # `ps` tells of it


def refuse(spec: ContainerSpec, what: str) -> None:
    """Raise WrongState where `what` needs a machine of the container's own, and it has none."""
    refuse_in_namespaces(spec, what)
    refuse_in_pods(spec, what)


def refuse_in_namespaces(spec: ContainerSpec, what: str) -> None:
    """Raise WrongState where the container is in namespaces."""
    if spec.isolation == "namespace":
        raise WrongState(
            f"container {spec.name!r} is in namespaces, and {what}",
            hint="run it without --isolation namespace",
        )


def refuse_in_pods(spec: ContainerSpec, what: str) -> None:
    """Raise WrongState where the container is in a pod, or is one."""
    if isinstance(spec.pod, Member):
        raise WrongState(
            f"container {spec.name!r} is in a pod, and {what}",
            hint=f"its machine is that of pod {spec.pod.pod[:12]}, and of all containers in it",
        )
    if isinstance(spec.pod, Sandbox):
        raise WrongState(f"pod {spec.name!r} has containers, and {what}", hint="only a single container can")


def as_container(spec: ContainerSpec) -> None:
    """Refuse a pod where a container is meant. Raises ContainerNotFound."""
    if isinstance(spec.pod, Sandbox):
        raise ContainerNotFound(
            f"{spec.name!r} is a pod, and no container",
            hint=f"`firkin pod inspect {spec.name}` names its containers; a pod as a whole is not kept in "
            "snapshots, nor forked or suspended",
        )


class PodSummary(msgspec.Struct, frozen=True):
    """A pod, and the containers in it with what they are now."""

    pod: Pod
    state: State
    members: tuple[tuple[ContainerSpec, State], ...]


def summaries(paths: Paths) -> list[PodSummary]:
    """Every pod that can be read, those made last in front."""
    found = []
    for pod in reversed(pods(paths)):
        with suppress(ContainerNotFound):
            found.append(summary(pod))
    return found


def summary(pod: Pod) -> PodSummary:
    """`pod` as it is now. Raises ContainerNotFound where it is gone."""
    found = []
    for record, spec in pod.members():
        with suppress(FirkinError):
            found.append((spec, record.state()))
    return PodSummary(pod, pod.record.state(), tuple(found))


def state_word(state: State) -> str:
    """The state of a pod in one word: ready, running, paused or stopped."""
    said = word(state)
    return {"created": "ready", "exited": "stopped"}.get(said, said)


def image_of(store: Store, spec: ContainerSpec) -> Image:
    """The image that a member was made of. Raises ImageNotFound, Corrupt."""
    return store.local_images(Descriptor("", Digest.parse(spec.image_digest), 0))[0]
