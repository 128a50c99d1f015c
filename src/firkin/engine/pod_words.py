"""The words for pods, and for a container's place in one: volumes, mounts and Member from what was said."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import TypedDict, TypeVar

from firkin.container.pod import Member, PodMount, PodVolume
from firkin.container.spec import Bind
from firkin.engine.network_words import NetworkWords
from firkin.engine.volumes import container_path
from firkin.errors import UsageError
from firkin.units import parse_size

T = TypeVar("T")
MOST_VOLUMES = 64
_VOLUME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_HINT = "write NAME:DIR, NAME:DIR:memory,size=64m or HOST:DIR:ro"
_MEMBER_HINT = "write NAME:DIR[:ro], with a volume of `firkin pod create -v`"


class PodPlace(TypedDict, total=False):
    """Where a container may be put."""

    pod: str


class PodWords(NetworkWords, total=False):
    """What may be said of a pod: the keywords of pod_options.pod_options()."""

    name: str
    hostname: str
    cpus: int | float | str | None
    memory: int | str | None
    disk: int | str | None
    env: Mapping[str, str] | Iterable[str]
    labels: Mapping[str, str] | Iterable[str]
    share_pid: bool
    volumes: Iterable[str | PodVolume]


def pod_volumes(said: Iterable[str | PodVolume]) -> tuple[tuple[PodVolume, ...], tuple[PodMount, ...]]:
    """The volumes of a pod, and where each of its members has them. Raises UsageError."""
    volumes: list[PodVolume] = []
    mounts: list[PodMount] = []
    for each in said:
        volume, target = (each, "") if isinstance(each, PodVolume) else _volume(each, len(volumes))
        _check_name(volume.name)
        if any(other.name == volume.name for other in volumes):
            raise UsageError(f"volume: two are named {volume.name!r}", hint="give each a name of its own")
        volumes.append(volume)
        if target:
            mounts.append(PodMount(volume=volume.name, target=target))
    if len(volumes) > MOST_VOLUMES:
        raise UsageError(
            f"volume: more than {MOST_VOLUMES} in a pod", hint="put several directories into one"
        )
    return tuple(volumes), tuple(mounts)


def member_of(pod: str, volumes: Iterable[T]) -> tuple[Member | None, tuple[T, ...]]:
    """A container's place in the pod called `pod`, with those of its `volumes` that are the pod's, and the
    rest. Outside of a pod all are the rest. Raises UsageError.
    """
    if not pod:
        return None, tuple(volumes)
    return Member(pod=pod, mounts=tuple(_mount(each) for each in volumes)), ()


def _mount(said: object) -> PodMount:
    """NAME:DIR[:ro], or HOST:DIR[:ro] for a directory of the host that the pod has."""
    if isinstance(said, PodMount):
        return said
    if isinstance(said, Bind):
        return PodMount(volume=said.source, target=said.target, readonly=said.readonly)
    source, target, options = _parts(str(said), _MEMBER_HINT)
    if not source or not target or set(options) - {"ro", "rw"}:
        raise UsageError(f"volume {said!r} is not one for a container in a pod", hint=_MEMBER_HINT)
    return PodMount(
        volume=_absolute(source) if _is_path(source) else source,
        target=container_path("volume", target),
        readonly="ro" in options,
    )


def _volume(said: str, number: int) -> tuple[PodVolume, str]:
    source, target, options = _parts(said, _HINT)
    place = container_path("volume", target) if target else ""
    if _is_path(source):
        if set(options) - {"ro", "rw"}:
            raise UsageError(f"volume {said!r}: a host's directory is ro or rw", hint=_HINT)
        name = f"host-{number}"
        return PodVolume(name=name, kind="host", source=_absolute(source), readonly="ro" in options), place
    sizes = [each.partition("=")[2] for each in options if each.startswith("size=")]
    if set(options) - {"memory", *(f"size={size}" for size in sizes)} or len(sizes) > 1:
        raise UsageError(f"volume {said!r}: known are memory and size=", hint=_HINT)
    if sizes and "memory" not in options:
        raise UsageError(
            f"volume {said!r}: only one in memory has a size", hint="the pod's --disk bounds the others"
        )
    size = parse_size(sizes[0]) if sizes else None
    return PodVolume(name=source, kind="memory" if "memory" in options else "disk", size_bytes=size), place


def _parts(said: str, hint: str) -> tuple[str, str, list[str]]:
    parts = said.split(":")
    if len(parts) > 3 or not parts[0]:
        raise UsageError(f"volume {said!r} cannot be read", hint=hint)
    source, target, options = (*parts, "", "")[:3]
    return source, target, [each for each in options.split(",") if each]


def _check_name(name: str) -> None:
    if not _VOLUME.fullmatch(name):
        bad = "".join(sorted(set(re.sub(r"[A-Za-z0-9_.-]", "", name))))
        raise UsageError(
            f"volume: {name!r} is not a volume's name" + (f": {bad!r} cannot be in it" if bad else ""),
            hint="use at most 63 letters, digits, _ . and -, with a letter or digit at both ends",
        )


def _is_path(source: str) -> bool:
    return source.startswith(("/", ".", "~"))


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
