"""One container of a manifest, as the options of a member of a pod."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from firkin.container.pod import Member
from firkin.engine.options import RunOptions
from firkin.engine.rules import check_workdir
from firkin.engine.words import run_options
from firkin.kube.expansion import expand
from firkin.kube.fields import Fields, bad, inside
from firkin.kube.probe import health_words
from firkin.kube.resources import Resources, resources
from firkin.kube.security import Security, of_container
from firkin.kube.variables import Origin, as_text, variables
from firkin.kube.volumes import Volume, mount
from firkin.machine.spec import PublishedPort
from firkin.oci.reference import Reference

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PULLS = {"": "missing", "Always": "always", "IfNotPresent": "missing", "Never": "never"}


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """What a container has from its pod."""

    pod: str
    origin: Origin
    volumes: dict[str, Volume]
    security: Security
    stop_timeout_s: int | None
    restart: str


class Container(msgspec.Struct, frozen=True):
    options: RunOptions
    resources: Resources


def container(said: Fields, around: Around, *, initial: bool) -> Container:
    """One of spec.containers, or of spec.initContainers. Raises UsageError."""
    with said:
        name = said.needed("name")
        if not _NAME.fullmatch(name):
            raise bad(said.at("name"), f"{name!r} is no container's name", "use small letters, digits and -")
        found = variables(said, around.origin)
        known = as_text(found)
        command = [expand(each, known) for each in said.texts("command")]
        args = [expand(each, known) for each in said.texts("args")]
        limits = resources(said.map("resources"))
        published, names = _ports(said, initial=initial)
        words: dict[str, Any] = {
            "name": f"{around.pod}-{name}",
            "pod": around.pod,
            "env": [f"{key}=".encode() + value for key, value in found.items()],
            "entrypoint": command or None,
            "workdir": _workdir(said),
            "volumes": [mount(each, around.volumes) for each in said.maps("volumeMounts")],
            "publish": published,
            "cpus": limits.cpus,
            "memory": limits.memory_bytes,
            "stdin": bool(said.flag("stdin")),
            "terminal": bool(said.flag("tty")),
            "pull": _PULLS[said.choice("imagePullPolicy", tuple(_PULLS))],
            "restart": "no" if initial else around.restart,
            "stop_timeout": around.stop_timeout_s,
            **health_words(said, names, "no" if initial else around.restart),
            **of_container(said.map("securityContext"), around.security, said.path),
        }
        image = said.needed("image")
        with inside(said.at("image")):
            Reference.parse(image)
        _refuse_sidecar(said, initial=initial)
        said.unsaid("terminationMessagePath", "/dev/termination-log")
        said.unsaid("terminationMessagePolicy", "File")
        said.unsaid("stdinOnce", False)
    with inside(said.path):
        options = run_options(image, args, **words)
    assert isinstance(options.pod, Member)
    place = msgspec.structs.replace(options.pod, initial=initial)
    return Container(msgspec.structs.replace(options, pod=place), limits)


def _workdir(said: Fields) -> str:
    path = said.text("workingDir")
    with inside(said.at("workingDir")):
        check_workdir(path)
    return path


def _refuse_sidecar(said: Fields, *, initial: bool) -> None:
    if said.text("restartPolicy"):
        what = "a sidecar" if initial else "a container's own restartPolicy"
        raise bad(said.at("restartPolicy"), f"{what} cannot be had", "make it one of spec.containers")


def _ports(said: Fields, *, initial: bool) -> tuple[list[PublishedPort], dict[str, int]]:
    """What is published, and the ports that have names."""
    found: list[PublishedPort] = []
    names: dict[str, int] = {}
    for each in said.maps("ports"):
        with each:
            name = each.text("name")
            inner = each.number("containerPort", 1, 65535)
            outer = each.number("hostPort", 1, 65535)
            protocol = each.choice("protocol", ("TCP", "UDP"), "TCP")
            address = each.text("hostIP") or "0.0.0.0"
            if inner is None:
                raise bad(each.at("containerPort"), "it is missing", "the manifest must say it")
            if name:
                names[name] = inner
            if outer is None:
                continue
            if initial:
                raise bad(each.at("hostPort"), "an init container serves nobody", "leave it out")
            with inside(each.at("hostIP")):
                shown = f"[{address}]" if ":" in address else address
                found += PublishedPort.parse(f"{shown}:{outer}:{inner}/{protocol.lower()}")
    return found, names
