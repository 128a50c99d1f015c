"""RuntimeSpec: a bundle's config.json, as the OCI runtime spec (config.md, config-linux.md) has it.

Properties that nobody knows are passed over, since the spec demands that. The rule: what asks for something
that no machine of ours can give is an error that names the property; what asks for nothing (null, an empty
list, zero) is not.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

from firkin.errors import UsageError

VERSION = "1.0.2"
"""What `encode` writes of."""

STOP_SIGNAL = "org.opencontainers.image.stopSignal"
"""The annotation of what ends a container in good order (OCI image spec, conversion.md)."""

MAX_BYTES = 4 << 20

Id = Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 2)]
Bound = Annotated[int, msgspec.Meta(ge=0)]


class _Spec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class ConsoleSize(_Spec, frozen=True, kw_only=True):
    height: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    width: Annotated[int, msgspec.Meta(ge=1, le=65535)]


class User(_Spec, frozen=True, kw_only=True):
    uid: Id
    gid: Id
    umask: Annotated[int, msgspec.Meta(ge=0, le=0o777)] | None = None
    additional_gids: tuple[Id, ...] | None = None


class Capabilities(_Spec, frozen=True, kw_only=True, omit_defaults=False):
    bounding: tuple[str, ...] | None = ()
    effective: tuple[str, ...] | None = ()
    inheritable: tuple[str, ...] | None = ()
    permitted: tuple[str, ...] | None = ()
    ambient: tuple[str, ...] | None = ()


class Rlimit(_Spec, frozen=True, kw_only=True):
    type: str
    soft: Bound
    hard: Bound


class Scheduler(_Spec, frozen=True, kw_only=True):
    policy: str
    nice: int | None = None
    priority: int | None = None
    flags: tuple[str, ...] | None = None


class IoPriority(_Spec, frozen=True, kw_only=True):
    io_class: str = msgspec.field(name="class")
    priority: int = 0


class Process(_Spec, frozen=True, kw_only=True):
    cwd: str
    args: tuple[str, ...] = ()
    terminal: bool = False
    console_size: ConsoleSize | None = None
    user: User = User(uid=0, gid=0)
    env: tuple[str, ...] | None = ()
    capabilities: Capabilities | None = None
    rlimits: tuple[Rlimit, ...] | None = ()
    no_new_privileges: bool | None = False
    apparmor_profile: str | None = ""
    selinux_label: str | None = ""
    oom_score_adj: int | None = None
    scheduler: Scheduler | None = None
    io_priority: IoPriority | None = None


class Root(_Spec, frozen=True, kw_only=True):
    path: str
    readonly: bool = False


class Mount(_Spec, frozen=True, kw_only=True):
    destination: str
    type: str | None = None
    source: str | None = None
    options: tuple[str, ...] | None = ()


class Namespace(_Spec, frozen=True, kw_only=True):
    type: str
    path: str | None = ""


class DeviceRule(_Spec, frozen=True, kw_only=True):
    allow: bool
    type: str | None = None
    major: int | None = None
    minor: int | None = None
    access: str | None = None


class Memory(_Spec, frozen=True, kw_only=True):
    limit: int | None = None
    swap: int | None = None


class Cpu(_Spec, frozen=True, kw_only=True):
    quota: int | None = None
    period: int | None = None
    shares: int | None = None
    cpus: str | None = None


class Pids(_Spec, frozen=True, kw_only=True):
    limit: int | None = None


class Resources(_Spec, frozen=True, kw_only=True):
    devices: tuple[DeviceRule, ...] | None = ()
    memory: Memory | None = None
    cpu: Cpu | None = None
    pids: Pids | None = None


class Device(_Spec, frozen=True, kw_only=True):
    path: str
    type: str
    major: int | None = None
    minor: int | None = None


class Linux(_Spec, frozen=True, kw_only=True):
    namespaces: tuple[Namespace, ...] | None = ()
    devices: tuple[Device, ...] | None = ()
    cgroups_path: str | None = ""
    resources: Resources | None = None
    sysctl: dict[str, str] | None = None
    seccomp: dict[str, Any] | None = None
    rootfs_propagation: str | None = ""
    masked_paths: tuple[str, ...] | None = ()
    readonly_paths: tuple[str, ...] | None = ()


class RuntimeSpec(_Spec, frozen=True, kw_only=True):
    oci_version: str
    process: Process
    root: Root
    hostname: str = ""
    domainname: str = ""
    mounts: tuple[Mount, ...] | None = ()
    annotations: dict[str, str] | None = None
    linux: Linux = Linux()


_ELSEWHERE = "it is of another platform; leave it out"
_OWN_MACHINE = "a machine of its own takes its place; leave it out"
_CANNOT = {
    "hooks": "nothing of a bundle is run on the host",
    "solaris": _ELSEWHERE, "windows": _ELSEWHERE, "vm": _ELSEWHERE, "zos": _ELSEWHERE, "freebsd": _ELSEWHERE,
    "process.commandLine": _ELSEWHERE,
    "process.execCPUAffinity": "limit its processors with --cpus",
    "linux.uidMappings": _OWN_MACHINE, "linux.gidMappings": _OWN_MACHINE, "linux.timeOffsets": _OWN_MACHINE,
    "linux.intelRdt": _OWN_MACHINE, "linux.memoryPolicy": _OWN_MACHINE, "linux.netDevices": _OWN_MACHINE,
    "linux.personality": "its machine has the personality LINUX",
    "linux.mountLabel": "no guest's kernel runs SELinux",
    "linux.resources.blockIO": _OWN_MACHINE, "linux.resources.hugepageLimits": _OWN_MACHINE,
    "linux.resources.network": _OWN_MACHINE, "linux.resources.rdma": _OWN_MACHINE,
    "linux.resources.unified": "say it as memory, cpu or pids",
    **dict.fromkeys(
        (f"linux.resources.memory.{name}" for name in ("reservation", "kernel", "kernelTCP", "swappiness",
                                                       "disableOOMKiller")),
        "say memory.limit"),
    **dict.fromkeys(
        (f"linux.resources.cpu.{name}" for name in ("burst", "realtimeRuntime", "realtimePeriod",
                                                    "mems", "idle")),
        "say cpu.quota and cpu.period"),
    **dict.fromkeys((f"process.scheduler.{name}" for name in ("runtime", "deadline", "period")),
                    "no process may come before what holds its machine still while that is saved"),
}  # fmt: skip
"""Properties of the spec that cannot be honoured, and what to do."""


def parse(content: bytes) -> RuntimeSpec:
    """The spec in `content`. Raises UsageError, which names the property that is wrong."""
    try:
        document = msgspec.json.decode(content)
        found = msgspec.convert(document, RuntimeSpec)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise refused(f"not an OCI runtime spec: {error}", "`firkin generate spec` prints one") from error
    if not re.match(r"1\.\d+\.\d+", found.oci_version):
        raise refused(f"ociVersion {found.oci_version!r} is not known here", "1.0.0 up to 2 is")
    for path, hint in _CANNOT.items():
        if _asks(document, path):
            raise refused(f"{path} cannot be honoured", hint)
    for index, mount in enumerate(document.get("mounts") or ()):
        for name in ("uidMappings", "gidMappings"):
            if mount.get(name):
                raise refused(f"mounts[{index}].{name} cannot be honoured", _OWN_MACHINE)
    return found


def encode(spec: RuntimeSpec) -> bytes:
    """`spec` as JSON that people can read; `parse` gives it back."""
    return msgspec.json.format(msgspec.json.encode(spec), indent=4)


def refused(problem: str, hint: str) -> UsageError:
    """The error of a config.json."""
    return UsageError(f"config.json: {problem}", hint=hint)


def _asks(document: Any, path: str) -> bool:
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return _is_something(document)


def _is_something(value: Any) -> bool:
    """Whether there is more in it than absence, and in a map whether one of its values is something."""
    if isinstance(value, dict):
        return any(map(_is_something, value.values()))
    return value not in (None, "", 0, False, [])
