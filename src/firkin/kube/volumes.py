"""Volumes: spec.volumes as a pod's, and volumeMounts as a member's mounts.

emptyDir               a directory of the pod's store, or with medium Memory a tmpfs
configMap, secret      a tmpfs that is filled at each start of the pod; read-only in its containers
hostPath               a directory or a single file of this host
persistentVolumeClaim  the volume of that name (`firkin volume`), made where it is missing
"""

from __future__ import annotations

import os
import posixpath

import msgspec

from firkin.container.pod import PodFile, PodMount, PodVolume
from firkin.engine.volumes import container_path
from firkin.kube.contents import Contents
from firkin.kube.fields import Fields, bad, inside
from firkin.kube.quantity import parse_bytes
from firkin.volume.record import check_name

_KINDS = ("emptyDir", "hostPath", "configMap", "secret", "persistentVolumeClaim")
_HOST_TYPES = ("", "DirectoryOrCreate", "Directory", "FileOrCreate", "File")


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume of a manifest."""

    volume: PodVolume
    inner: str = ""
    """What of it is mounted, where that is not all of it: the one file of a hostPath."""
    make: str = ""
    """What the host must have for it, and is made where it is missing: dir or file."""


def volume(said: Fields, contents: Contents) -> Volume:
    """One of spec.volumes. Raises UsageError."""
    with said:
        name = said.needed("name")
        for kind in _KINDS:
            inner = said.map(kind)
            if inner is not None:
                with inner:
                    return _READERS[kind](name, inner, contents)
        raise bad(
            said.path, f"volume {name!r} is of no kind that can be had here", f"there are {', '.join(_KINDS)}"
        )


def mount(said: Fields, volumes: dict[str, Volume]) -> PodMount:
    """One of volumeMounts. Raises UsageError."""
    with said:
        name, target = said.needed("name"), said.needed("mountPath")
        found = volumes.get(name)
        if found is None:
            raise bad(said.at("name"), f"the pod has no volume {name!r}", "add it to spec.volumes")
        with inside(said.at("mountPath")):
            target = container_path("mount", target)
        if said.text("mountPropagation", "None") != "None":
            raise bad(said.at("mountPropagation"), "mounts are not passed on", "leave it out, or write None")
        said.unsaid("recursiveReadOnly", "Disabled")
        if said.text("subPathExpr"):
            raise bad(said.at("subPathExpr"), "it cannot be honoured", "write a subPath")
        return PodMount(
            volume=name,
            target=target,
            readonly=bool(said.flag("readOnly")) or found.volume.readonly,
            inner=_sub_path(said, found) or found.inner,
        )


def _sub_path(said: Fields, found: Volume) -> str:
    """What of the volume is mounted: only of one that none of its containers writes, where no link can lead
    elsewhere.
    """
    path = said.text("subPath")
    if not path:
        return ""
    if posixpath.isabs(path) or ".." in path.split("/"):
        raise bad(said.at("subPath"), f"{path!r} leads out of the volume", "write a relative path without ..")
    normal = posixpath.normpath(path)
    if not found.volume.files:
        raise bad(
            said.at("subPath"), "it cannot be honoured for a volume that containers may write",
            "mount the whole volume; of configMap and secret a subPath is mounted",
        )  # fmt: skip
    if not any(f"{file.path}/".startswith(f"{normal}/") for file in found.volume.files):
        raise bad(said.at("subPath"), f"volume {found.volume.name!r} has no {path!r}", "see its items")
    return normal


def _empty_dir(name: str, said: Fields, _: Contents) -> Volume:
    medium = said.choice("medium", ("", "Memory"))
    limit = said.take("sizeLimit") if medium else None
    size = None if limit is None else parse_bytes(said.at("sizeLimit"), limit)
    if size is not None and size <= 0:
        raise bad(said.at("sizeLimit"), f"{limit!r} leaves no room", "give 64Ki or more")
    return Volume(volume=PodVolume(name=name, kind="memory" if medium else "disk", size_bytes=size))


def _host_path(name: str, said: Fields, _: Contents) -> Volume:
    path, kind = said.needed("path"), said.choice("type", _HOST_TYPES)
    if not posixpath.isabs(path):
        raise bad(said.at("path"), f"{path!r} is not absolute", "begin it with /")
    source = os.path.realpath(path)
    is_file = os.path.isfile(source)
    there = os.path.exists(source)
    make = {"DirectoryOrCreate": "dir", "FileOrCreate": "file"}.get(kind, "") if not there else ""
    if not (there or make):
        raise bad(said.at("path"), f"{path} does not exist", "make it first, or say type: DirectoryOrCreate")
    if there and kind and kind.startswith("File") != is_file:
        raise bad(
            said.at("type"), f"{path} is no {kind.removesuffix('OrCreate').lower()}", "mend one of them"
        )
    inner = posixpath.basename(source) if is_file or make == "file" else ""
    return Volume(volume=PodVolume(name=name, kind="host", source=source, file=inner), inner=inner, make=make)


def _claim(name: str, said: Fields, _: Contents) -> Volume:
    claim = said.needed("claimName")
    with inside(said.at("claimName")):
        check_name(claim)
    readonly = bool(said.flag("readOnly"))
    return Volume(volume=PodVolume(name=name, kind="volume", source=claim, readonly=readonly))


def _config_map(name: str, said: Fields, contents: Contents) -> Volume:
    return _held(name, "ConfigMap", said.needed("name"), said, contents)


def _secret(name: str, said: Fields, contents: Contents) -> Volume:
    return _held(name, "Secret", said.needed("secretName"), said, contents)


def _held(name: str, kind: str, source: str, said: Fields, contents: Contents) -> Volume:
    optional = bool(said.flag("optional"))
    mode = said.number("defaultMode", 0, 0o777)
    mode = 0o644 if mode is None else mode
    held = contents.of(kind, source, said.path, optional=optional)
    items = said.maps("items")
    files = []
    for item in items:
        with item:
            value = contents.value(kind, source, item.needed("key"), item.at("key"), optional=optional)
            chosen = item.number("mode", 0, 0o777)
            path = _file_path(item)
            if value is not None:
                files.append(PodFile(path=path, content=value, mode=mode if chosen is None else chosen))
    if not items:
        files = [PodFile(path=key, content=value, mode=mode) for key, value in sorted(held.items())]
    twice = next((each.path for each in files if sum(each.path == other.path for other in files) > 1), "")
    if twice:
        raise bad(said.at("items"), f"two are called {twice!r}", "give each a path of its own")
    return Volume(
        volume=PodVolume(
            name=name, kind="memory", readonly=True, files=tuple(files), mode=0o755, source=f"{kind}/{source}"
        )
    )


def _file_path(item: Fields) -> str:
    path = item.needed("path")
    if posixpath.isabs(path) or ".." in path.split("/") or posixpath.normpath(path) == ".":
        raise bad(item.at("path"), f"{path!r} leads out of the volume", "write a relative path without ..")
    return posixpath.normpath(path)


_READERS = {
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "configMap": _config_map,
    "secret": _secret,
    "persistentVolumeClaim": _claim,
}
