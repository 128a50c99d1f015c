"""A manifest: the documents of one or several files, as the pods and volumes that are to be.

    Pod, Deployment            a pod each
    ConfigMap, Secret          what pods mount, or have in their variables
    PersistentVolumeClaim      a volume, made where it is missing

The rule: a field, or a document, that is not honoured here is in `unused`; what is wrong is an error that
begins with the path of the field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from firkin.kube import contents, yaml_text
from firkin.kube.contents import Contents
from firkin.kube.fields import Fields, bad, inside
from firkin.kube.pod import PodPlan, metadata, pod_plan
from firkin.kube.quantity import parse_bytes
from firkin.settings import Settings
from firkin.volume.record import check_name

_APIS = {"Pod": "v1", "ConfigMap": "v1", "Secret": "v1", "PersistentVolumeClaim": "v1", "List": "v1",
         "Deployment": "apps/v1"}  # fmt: skip
_MOST_PODS = 64


class Claim(msgspec.Struct, frozen=True):
    """A volume that a PersistentVolumeClaim asks for."""

    name: str
    size_bytes: int | None
    labels: dict[str, str]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    pods: tuple[PodPlan, ...]
    claims: tuple[Claim, ...]
    unused: tuple[str, ...]
    """The paths of the fields, and the documents, that change nothing here."""


def read(text: bytes, name: str, settings: Settings, more: Sequence[tuple[bytes, str]] = ()) -> Manifest:
    """What the file called `name` asks for; `more` are files whose ConfigMaps and Secrets it may use, too.

    Raises UsageError.
    """
    unused: list[str] = []
    found = _documents(text, name, unused)
    extra = [each for other, called in more for each in _documents(other, called, unused)]
    held = _contents(document for document in (*found, *extra) if document[0] in contents.KINDS)
    claims, pods = [], []
    for kind, document in found:
        if kind in _PODS:
            pods.append(_PODS[kind](document, held, settings))
        elif kind == "PersistentVolumeClaim":
            claims.append(_claim(document))
        elif kind not in contents.KINDS:
            unused.append(f"{document.path.rstrip(': ') or 'the manifest'} (kind {kind})")
    _check(pods, name)
    return Manifest(pods=tuple(pods), claims=tuple(claims), unused=tuple(unused))


def names(text: bytes, name: str) -> list[str]:
    """The names of the pods of a manifest, whatever else it says. Raises UsageError."""
    found = []
    for kind, document in _documents(text, name, []):
        if kind in _PODS:
            meta = metadata(document.map("metadata"), document.at("metadata"))
            found.append(_named(kind, meta.name))
    if not found:
        raise bad(name, "there is no Pod and no Deployment in it", "see kind")
    return found


def claims(text: bytes, name: str) -> list[str]:
    """The names of the volumes that its claims ask for. Raises UsageError."""
    found = _documents(text, name, [])
    return [_claim(document).name for kind, document in found if kind == "PersistentVolumeClaim"]


def _documents(text: bytes, name: str, unused: list[str]) -> list[tuple[str, Fields]]:
    values = yaml_text.documents(text, name)
    several = len(values) > 1
    found = []
    for number, value in enumerate(values, 1):
        found += _kind(value, f"document {number}: " if several else "", unused)
    return found


def _kind(value: object, where: str, unused: list[str]) -> list[tuple[str, Fields]]:
    """The document, or those of a List. Its paths begin with `where`."""
    document = _Document(value, where, unused)
    kind, api = document.needed("kind"), document.needed("apiVersion")
    if kind in _APIS and api != _APIS[kind]:
        raise bad(document.at("apiVersion"), f"{api!r} is not one of a {kind} here", f"write {_APIS[kind]}")
    if kind != "List":
        return [(kind, document)]
    found = []
    for number, item in enumerate(document.values("items")):
        found += _kind(item, f"{where}items[{number}].", unused)
    return found


class _Document(Fields):
    """Fields whose path ends in its own separator."""

    def at(self, name: str) -> str:
        return f"{self.path}{name}"


def _contents(documents: Iterable[tuple[str, Fields]]) -> Contents:
    held: dict[tuple[str, str], dict[str, bytes]] = {}
    for kind, document in documents:
        name, found = contents.read(kind, document)
        if (kind, name) in held:
            raise bad(document.at("metadata.name"), f"there are two of {kind} {name!r}", "rename one")
        held[kind, name] = found
    return Contents(held)


def _pod(document: Fields, held: Contents, settings: Settings) -> PodPlan:
    with document:
        meta = metadata(document.map("metadata"), document.at("metadata"))
        document.ignore("status")
        return pod_plan(meta, _spec(document), held, settings)


def _deployment(document: Fields, held: Contents, settings: Settings) -> PodPlan:
    with document:
        outer = metadata(document.map("metadata"), document.at("metadata"))
        document.ignore("status")
        spec = _spec(document)
        with spec:
            replicas = spec.number("replicas", 0, 1 << 31)
            if replicas not in (None, 1):
                raise bad(spec.at("replicas"), f"{replicas} pods cannot be kept up here", "write 1")
            spec.ignore("selector", "strategy", "revisionHistoryLimit", "progressDeadlineSeconds")
            with spec.needed_map("template") as template:
                inner = template.map("metadata")
                labels, annotations = outer.labels, outer.annotations
                if inner is not None:
                    with inner:
                        inner.ignore("name", "creationTimestamp", "namespace")
                        labels, annotations = inner.pairs("labels"), inner.pairs("annotations")
                meta = msgspec.structs.replace(
                    outer, name=_named("Deployment", outer.name), labels=labels, annotations=annotations
                )
                return pod_plan(meta, _spec(template), held, settings)


_PODS: dict[str, Callable[[Fields, Contents, Settings], PodPlan]] = {"Pod": _pod, "Deployment": _deployment}


def _named(kind: str, name: str) -> str:
    return f"{name}-pod" if kind == "Deployment" else name


def _spec(document: Fields) -> Fields:
    return document.needed_map("spec")


def _claim(document: Fields) -> Claim:
    with document:
        meta = metadata(document.map("metadata"), document.at("metadata"))
        with inside(document.at("metadata.name")):
            check_name(meta.name)
        document.ignore("status")
        size = None
        with _spec(document) as spec:
            spec.ignore("accessModes", "volumeMode")
            wanted = spec.map("resources")
            if wanted is not None:
                with wanted:
                    requests = wanted.map("requests")
                    if requests is not None:
                        with requests:
                            storage = requests.take("storage")
                            size = None if storage is None else parse_bytes(requests.at("storage"), storage)
        return Claim(meta.name, size, meta.labels)


def _check(pods: Sequence[PodPlan], name: str) -> None:
    if not pods:
        raise bad(name, "there is no Pod and no Deployment in it", "see kind")
    if len(pods) > _MOST_PODS:
        raise bad(name, f"it has more than {_MOST_PODS} pods", "split it into several files")
    called = [each.name for each in pods]
    for each in called:
        if called.count(each) > 1:
            raise bad(name, f"two pods are named {each!r}", "rename one")
