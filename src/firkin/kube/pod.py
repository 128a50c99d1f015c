"""A pod of a manifest: its metadata and its PodSpec, as the options of a pod and of its members."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from firkin.engine.options import RunOptions
from firkin.engine.pod_options import pod_options
from firkin.kube.container import Around, Container, container
from firkin.kube.contents import Contents
from firkin.kube.fields import Fields, bad, inside
from firkin.kube.resources import Resources, machine, resources
from firkin.kube.security import of_pod
from firkin.kube.variables import Origin
from firkin.kube.volumes import Volume, volume
from firkin.network.names import HOSTNAME_RULE, is_hostname
from firkin.network.spec import HostEntry
from firkin.settings import Settings

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_RESTARTS = {"": "always", "Always": "always", "OnFailure": "on-failure", "Never": "no"}
_DNS = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_MAX_CONTAINERS = 60
_LONGEST_GRACE_S = 1 << 31


class PodPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that can be made."""

    options: RunOptions
    containers: tuple[RunOptions, ...]
    """Init containers first, each in its manifest's order."""
    make: tuple[tuple[str, str], ...] = ()
    """dir or file, and the path of this host that is made where it is missing."""

    @property
    def name(self) -> str:
        return self.options.name


class Metadata(msgspec.Struct, frozen=True):
    name: str
    namespace: str
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def facts(self) -> dict[str, str]:
        """What a fieldRef may ask for."""
        return {
            "metadata.name": self.name,
            "metadata.namespace": self.namespace,
            **{f"metadata.labels['{key}']": value for key, value in self.labels.items()},
            **{f"metadata.annotations['{key}']": value for key, value in self.annotations.items()},
        }


def metadata(said: Fields | None, path: str) -> Metadata:
    """`metadata` of anything. Raises UsageError."""
    if said is None:
        raise bad(path, "it is missing", "the manifest must name its object")
    with said:
        name = said.needed("name")
        if not _NAME.fullmatch(name):
            raise bad(said.at("name"), f"{name!r} is no object's name", "use small letters, digits, - and .")
        said.ignore("creationTimestamp")
        namespace = said.text("namespace") or "default"
        return Metadata(name, namespace, said.pairs("labels"), said.pairs("annotations"))


def pod_plan(meta: Metadata, spec: Fields, contents: Contents, settings: Settings) -> PodPlan:
    """The pod of `meta` and `spec`. Raises UsageError, which names the field."""
    with spec:
        volumes = _volumes(spec, contents)
        security = of_pod(spec.map("securityContext"))
        _refuse_host(spec)
        around = Around(
            pod=meta.name,
            origin=Origin(contents, meta.facts),
            volumes=volumes,
            security=security,
            stop_timeout_s=spec.number("terminationGracePeriodSeconds", 0, _LONGEST_GRACE_S),
            restart=_RESTARTS[spec.choice("restartPolicy", tuple(_RESTARTS))],
        )
        initial = [container(each, around, initial=True) for each in spec.maps("initContainers")]
        running = [container(each, around, initial=False) for each in spec.maps("containers")]
        if not running:
            raise bad(spec.at("containers"), "there are none", "a pod has one or more")
        _check_containers([*initial, *running], spec)
        least = machine(
            [each.resources for each in running], [each.resources for each in initial],
            memory_bytes=settings.memory_bytes, cpus=settings.cpus,
        )  # fmt: skip
        memory_bytes, cpus = _whole(resources(spec.map("resources")), least)
        words: dict[str, Any] = {
            "name": meta.name,
            "labels": meta.labels,
            "hostname": _hostname(spec) or meta.name.partition(".")[0],
            "memory": memory_bytes,
            "cpus": cpus,
            "share_pid": bool(spec.flag("shareProcessNamespace")),
            "volumes": [each.volume for each in volumes.values()],
            "sysctls": security.sysctls,
            "add_hosts": [_host(each) for each in spec.maps("hostAliases")],
            **_dns(spec),
        }
        spec.unsaid("enableServiceLinks", True, False)
        spec.unsaid("schedulerName", "default-scheduler")
        spec.unsaid("os", {"name": "linux"})
        spec.unsaid("automountServiceAccountToken", False)
        spec.unsaid("serviceAccountName", "default")
    with inside(spec.path):
        options = pod_options(words, annotations=meta.annotations)  # type: ignore[arg-type]  # they are its words
    made = tuple((each.make, each.volume.source) for each in volumes.values() if each.make)
    containers = tuple(each.options for each in (*initial, *running))
    return PodPlan(options=options, containers=containers, make=made)


def _whole(said: Resources, least: tuple[int, int]) -> tuple[int, int]:
    """What the pod says for all its containers together, else what they need."""
    memory_bytes, cpus = least
    return said.memory_bytes or memory_bytes, math.ceil(said.cpus) if said.cpus else cpus


def _volumes(spec: Fields, contents: Contents) -> dict[str, Volume]:
    found: dict[str, Volume] = {}
    for said in spec.maps("volumes"):
        made = volume(said, contents)
        if made.volume.name in found:
            raise bad(said.at("name"), f"two are named {made.volume.name!r}", "give each a name of its own")
        found[made.volume.name] = made
    return found


def _hostname(spec: Fields) -> str:
    name = spec.text("hostname")
    if name and not is_hostname(name):
        raise bad(spec.at("hostname"), f"{name!r} is no name of a host", HOSTNAME_RULE)
    return name


def _refuse_host(spec: Fields) -> None:
    """A machine has none of its host's namespaces."""
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.flag(name):
            raise bad(spec.at(name), "a pod has a machine of its own", "publish ports with hostPort instead")
    spec.flag("hostUsers")


def _check_containers(found: list[Container], spec: Fields) -> None:
    names = [each.options.name for each in found]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise bad(spec.at("containers"), f"two are named {name!r}", "give each a name of its own")
    if len(found) > _MAX_CONTAINERS:
        raise bad(spec.at("containers"), f"there are more than {_MAX_CONTAINERS}", "make several pods")


def _host(said: Fields) -> HostEntry:
    with said:
        return HostEntry(names=tuple(said.texts("hostnames")), address=said.needed("ip"))


def _dns(spec: Fields) -> dict[str, Any]:
    policy, config = spec.choice("dnsPolicy", _DNS), spec.map("dnsConfig")
    if config is None:
        if policy == "None":
            raise bad(spec.at("dnsPolicy"), "it is None without a dnsConfig", "name its servers there")
        return {}
    with config:
        servers = config.texts("nameservers")
        if policy == "None" and not servers:
            raise bad(config.at("nameservers"), "there are none with dnsPolicy None", "name one")
        return {
            "dns": servers,
            "dns_search": config.texts("searches") or (["."] if policy == "None" else []),
            "dns_options": [_option(each) for each in config.maps("options")],
        }


def _option(said: Fields) -> str:
    with said:
        name, value = said.needed("name"), said.text("value")
        return f"{name}:{value}" if value else name
