"""A container on record, as one of a manifest. What a manifest cannot say is named."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from firkin.container.pod import Member
from firkin.container.spec import ContainerSpec, Protected
from firkin.engine.environment import DEFAULT_PATH
from firkin.kube.expansion import escape
from firkin.kube.probe import written
from firkin.kube.quantity import format_bytes, format_cpus
from firkin.linux.cgroup.limits import Limits
from firkin.machine.spec import PublishedPort
from firkin.process import capabilities
from firkin.process.policy import ProcessPolicy
from firkin.process.spec import ProcessSpec

_UNSAID = ("groups", "init")
_UNSAID_POLICY = ("umask", "rlimits", "oom_score_adj", "scheduler", "io_priority")


class Written(msgspec.Struct, frozen=True):
    """A container of a manifest, and the words for what is not in it."""

    document: dict[str, Any]
    unsaid: list[str]


def container(
    spec: ContainerSpec, name: str, image_env: frozenset[str], mounts: list[dict[str, Any]]
) -> Written:
    """`spec` as a container called `name`, with `mounts`."""
    process, unsaid = spec.process, list(_unsaid(spec))
    env, binary = _env(spec, image_env)
    unsaid += binary
    probes = {} if spec.health is None else written(spec.health, spec.restart.name, unsaid)
    said: dict[str, Any] = {
        "name": name,
        "image": spec.image,
        "command": [escape(word) for word in process.args],
        "workingDir": process.cwd,
        "env": env,
        "ports": [port(each) for each in spec.ports],
        "resources": _resources(spec.limits),
        "securityContext": _security(spec, unsaid),
        **probes,
        "stdin": process.stdin,
        "tty": process.terminal is not None,
        "volumeMounts": mounts,
    }
    return Written({key: value for key, value in said.items() if value not in ({}, [], False)}, unsaid)


def port(published: PublishedPort) -> dict[str, Any]:
    """A port of a container; one that is chosen at each start is not published by a manifest."""
    said: dict[str, Any] = {"containerPort": published.guest_port}
    if published.host_port:
        said["hostPort"] = published.host_port
    if published.host_ip != "0.0.0.0":
        said["hostIP"] = published.host_ip
    if published.protocol == "udp":
        said["protocol"] = "UDP"
    return said


def name_of(spec: ContainerSpec, pod: str, taken: set[str]) -> str:
    """What `spec` is called in the manifest of `pod`: its name, without its pod's, by Kubernetes' rules."""
    base = (
        re.sub(r"[^a-z0-9-]+", "-", spec.name.removeprefix(f"{pod}-").lower()).strip("-")[:60].strip("-")
        or "c"
    )
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    taken.add(name)
    return name


def _env(spec: ContainerSpec, image_env: frozenset[str]) -> tuple[list[dict[str, str]], list[str]]:
    made = {DEFAULT_PATH, f"HOSTNAME={spec.hostname}", *(("TERM=xterm",) if spec.process.terminal else ())}
    found, binary = [], []
    for word in spec.process.env:
        if word.startswith("\0"):
            binary.append("variables that are not UTF-8")
        elif word not in made and word not in image_env:
            name, _, value = word.partition("=")
            found.append({"name": name, "value": escape(value)})
    return found, sorted(set(binary))


def _resources(limits: Limits) -> dict[str, Any]:
    said = {}
    if limits.cpus is not None:
        said["cpu"] = format_cpus(limits.cpus)
    if limits.memory_bytes is not None:
        said["memory"] = format_bytes(limits.memory_bytes)
    return {"limits": said} if said else {}


def _security(spec: ContainerSpec, unsaid: list[str]) -> dict[str, Any]:
    process, policy, default = spec.process, spec.process.policy, ProcessPolicy()
    said = _user(process, unsaid)
    if policy.capabilities != default.capabilities:
        said["capabilities"] = _capabilities(policy, unsaid)
    if policy.no_new_privs:
        said["allowPrivilegeEscalation"] = False
    if spec.read_only:
        said["readOnlyRootFilesystem"] = True
    if spec.protected != Protected():
        said["procMount"] = "Unmasked"
    if policy.seccomp != default.seccomp:
        if policy.seccomp.kind == "profile":
            unsaid.append("its seccomp profile")
        else:
            said["seccompProfile"] = {
                "type": {"default": "RuntimeDefault"}.get(policy.seccomp.kind, "Unconfined")
            }
    if policy.selinux:
        said["seLinuxOptions"] = dict(
            zip(("user", "role", "type", "level"), policy.selinux.split(":", 3), strict=False)
        )
    if policy.apparmor:
        said["appArmorProfile"] = {"type": "Localhost", "localhostProfile": policy.apparmor}
    return said


def _user(process: ProcessSpec, unsaid: list[str]) -> dict[str, Any]:
    user, _, group = process.user.partition(":")
    if not user:
        return {}
    if not user.isdecimal() or (group and not group.isdecimal()):
        unsaid.append(f"user {process.user!r}, whose number only its image knows")
        return {}
    return {"runAsUser": int(user), **({"runAsGroup": int(group)} if group else {})}


def _capabilities(policy: ProcessPolicy, unsaid: list[str]) -> dict[str, list[str]]:
    bits, default = policy.capabilities.bounding, capabilities.DEFAULT.bounding
    if policy.capabilities != capabilities.granted(bits):
        unsaid.append("its five sets of capabilities")
        return {}
    if bits == capabilities.ALL:
        return {"add": ["ALL"]}
    if not bits & default:
        return {"drop": ["ALL"], **({"add": list(capabilities.names(bits))} if bits else {})}
    drop, add = capabilities.names(default & ~bits), capabilities.names(bits & ~default)
    return {**({"add": list(add)} if add else {}), **({"drop": list(drop)} if drop else {})}


def _unsaid(spec: ContainerSpec) -> list[str]:
    """What it has and no manifest can say."""
    process, policy, default = spec.process, spec.process.policy, ProcessPolicy()
    found = [name for name in _UNSAID if getattr(process, name) != getattr(ProcessSpec(args=()), name)]
    found += [name for name in _UNSAID_POLICY if getattr(policy, name) != getattr(default, name)]
    found += ["pids_limit"] if spec.limits.pids is not None else []
    found += ["sockets"] if spec.sockets else []
    found += ["tmpfs"] if spec.tmpfs else []
    found += ["devices"] if spec.storage.devices else []
    found += ["writable_layer"] if spec.root.layer is not None else []
    found += ["shm_size"] if spec.shm_bytes != 64 << 20 else []
    found += ["stop_signal"] if spec.stop_signal != 15 else []
    if any(not each.host_port for each in spec.ports):
        found.append("host ports that are chosen at each start")
    if isinstance(spec.pod, Member) and spec.auto_remove:
        found.append("auto_remove")
    return found
