"""A pod on record, as a manifest that play makes the same pod of. What a manifest cannot say is named."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from firkin.container.pod import Member, PodFile, PodMount, PodVolume, Sandbox
from firkin.container.spec import ContainerSpec
from firkin.kube.quantity import format_bytes
from firkin.kube.written_container import container, name_of, port
from firkin.network.spec import HOST_GATEWAY, Dns

_RESTARTS = {"no": "Never", "on-failure": "OnFailure", "always": "Always", "unless-stopped": "Always"}
_GRACE_S = 10.0
ImageEnv = Callable[[ContainerSpec], frozenset[str]]


class WrittenPod(msgspec.Struct, frozen=True):
    """The documents of a manifest, ConfigMaps and Secrets before their pod, and what it cannot say."""

    documents: list[dict[str, Any]]
    unsaid: list[str]


def pod(spec: ContainerSpec, members: Sequence[ContainerSpec], image_env: ImageEnv) -> WrittenPod:
    """The manifest of the pod `spec` with `members`, whose images set `image_env`."""
    sandbox = spec.pod
    assert isinstance(sandbox, Sandbox)
    unsaid: list[str] = []
    held: dict[tuple[str, str], dict[str, bytes]] = {}
    volumes = [_volume(each, held) for each in sandbox.volumes]
    taken: set[str] = set()
    written: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for each in members:
        place = each.pod
        assert isinstance(place, Member)
        mounts = [_mount(mount, sandbox.volumes) for mount in place.mounts]
        found = container(each, name_of(each, spec.name, taken), image_env(each), mounts)
        unsaid += [f"{each.name}: {what}" for what in found.unsaid]
        written[place.initial].append(found.document)
    if spec.ports and written[False]:
        first = written[False][0]
        first["ports"] = [*first.get("ports", []), *map(port, spec.ports)]
    said: dict[str, Any] = {
        **_restarts(members, unsaid),
        **_grace(members, unsaid),
        **_hosts(spec, unsaid),
        **_dns(spec.network.dns),
        "shareProcessNamespace": sandbox.share_pid,
        "securityContext": _security(spec),
        "resources": {"limits": {"cpu": str(spec.cpus), "memory": format_bytes(spec.memory_bytes)}},
        "initContainers": written[True],
        "containers": written[False],
        "volumes": volumes,
    }
    metadata = {"name": spec.name, "labels": spec.labels, "annotations": sandbox.annotations}
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _without_nothing(metadata),
        "spec": _without_nothing(said),
    }
    return WrittenPod([*map(_content, held.items()), document], unsaid)


def _restarts(members: Iterable[ContainerSpec], unsaid: list[str]) -> dict[str, Any]:
    """One policy for all, but for init containers, which have none."""
    policies = {each.restart for each in members if isinstance(each.pod, Member) and not each.pod.initial}
    names = {_RESTARTS[each.name] for each in policies}
    if len(names) > 1:
        unsaid.append("different restart policies")
    if any(each.retries for each in policies):
        unsaid.append("numbers of restarts")
    return {"restartPolicy": names.pop() if len(names) == 1 else "Never"}


def _grace(members: Iterable[ContainerSpec], unsaid: list[str]) -> dict[str, Any]:
    graces = {each.stop_timeout_s for each in members}
    if graces <= {_GRACE_S}:
        return {}
    if len(graces) == 1 and (grace := graces.pop()) == int(grace):
        return {"terminationGracePeriodSeconds": int(grace)}
    unsaid.append("stop_timeout")
    return {}


def _hosts(spec: ContainerSpec, unsaid: list[str]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if spec.hostname != spec.name.partition(".")[0]:
        said["hostname"] = spec.hostname
    said["hostAliases"] = [
        {"ip": each.address, "hostnames": list(each.names)}
        for each in spec.network.hosts
        if each.address != HOST_GATEWAY
    ]
    if len(said["hostAliases"]) < len(spec.network.hosts):
        unsaid.append("the host's address in hosts")
    if spec.network.domain:
        unsaid.append("domainname")
    if spec.network.mode == "none":
        unsaid.append("network none")
    return said


def _dns(dns: Dns) -> dict[str, Any]:
    said: dict[str, Any] = {
        "nameservers": list(dns.servers),
        "searches": list(dns.search or ()),
        "options": [_option(each) for each in dns.options or ()],
    }
    said = _without_nothing(said)
    if dns.search == ():
        return {"dnsPolicy": "None", "dnsConfig": said}
    return {"dnsConfig": said} if said else {}


def _option(text: str) -> dict[str, str]:
    name, colon, value = text.partition(":")
    return {"name": name, "value": value} if colon else {"name": name}


def _security(spec: ContainerSpec) -> dict[str, Any]:
    sysctls = [{"name": name, "value": value} for name, value in spec.network.sysctls.items()]
    return {"sysctls": sysctls} if sysctls else {}


def _volume(volume: PodVolume, held: dict[tuple[str, str], dict[str, bytes]]) -> dict[str, Any]:
    said: dict[str, Any]
    match volume.kind:
        case "host":
            said = {"hostPath": {"path": volume.source, "type": "File" if volume.file else "Directory"}}
        case "volume":
            said = {"persistentVolumeClaim": {"claimName": volume.source, **_read_only(volume.readonly)}}
        case "memory" if volume.source:
            said = _filled(volume, held)
        case "memory":
            size = {} if volume.size_bytes is None else {"sizeLimit": format_bytes(volume.size_bytes)}
            said = {"emptyDir": {"medium": "Memory", **size}}
        case _:
            said = {"emptyDir": {}}
    return {"name": volume.name, **said}


def _read_only(value: bool) -> dict[str, bool]:
    return {"readOnly": True} if value else {}


def _filled(volume: PodVolume, held: dict[tuple[str, str], dict[str, bytes]]) -> dict[str, Any]:
    kind, _, name = volume.source.partition("/")
    content = held.setdefault((kind, name), {})
    items = [{"key": _key(file, content), "path": file.path, "mode": file.mode} for file in volume.files]
    if kind == "Secret":
        return {"secret": {"secretName": name, "items": items}}
    return {"configMap": {"name": name, "items": items}}


def _key(file: PodFile, content: dict[str, bytes]) -> str:
    """The key under which `content` has the file's, where it was added if it is new."""
    base = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "-._") else "-" for letter in file.path
    )
    key, number = base[:240], 1
    while content.setdefault(key, file.content) != file.content:
        number += 1
        key = f"{base[:240]}.{number}"
    return key


def _content(held: tuple[tuple[str, str], dict[str, bytes]]) -> dict[str, Any]:
    (kind, name), content = held
    plain, coded = {}, {}
    for key, value in content.items():
        try:
            if kind == "Secret":
                raise ValueError
            plain[key] = value.decode()
        except ValueError:
            coded[key] = base64.b64encode(value).decode()
    document: dict[str, Any] = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
    return {
        **document,
        **_without_nothing({"data": coded} if kind == "Secret" else {"data": plain, "binaryData": coded}),
    }


def _mount(mount: PodMount, volumes: Sequence[PodVolume]) -> dict[str, Any]:
    filled = any(each.name == mount.volume and each.files for each in volumes)
    return {
        "name": mount.volume,
        "mountPath": mount.target,
        **_read_only(mount.readonly),
        **({"subPath": mount.inner} if mount.inner and filled else {}),
    }


def _without_nothing(said: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in said.items() if value is not False and value not in (None, {}, [], "")
    }
