"""Words of a bundle: what its config.json says, as the words of `firkin run`, and what those cannot say.

The rule: a container of a bundle has what the file says and nothing of ours beside it: its environment, its
capabilities, its filter, its hidden paths, and a network only where `network` asks for one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from firkin.container.spec import Bind, Protected, Tmpfs
from firkin.engine.bundled import Bundled
from firkin.engine.volumes import container_path
from firkin.errors import UsageError
from firkin.oci.runtime_spec import STOP_SIGNAL, Cpu, Mount, Process, Resources, RuntimeSpec, refused
from firkin.process import policy
from firkin.process.spec import TerminalSize
from firkin.units import parse_size

NAMESPACES = ("pid", "network", "ipc", "uts", "mount")
"""A container has these for itself, whatever a machine is; a cgroup namespace, too."""

OURS = {
    "/proc": ("proc", {"nosuid", "noexec", "nodev"}),
    "/dev": ("tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
    "/dev/pts": ("devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
    "/dev/shm": ("tmpfs", {"nosuid", "noexec", "nodev", "mode=1777"}),
    "/dev/mqueue": ("mqueue", {"nosuid", "noexec", "nodev"}),
    "/sys": ("sysfs", {"nosuid", "noexec", "nodev", "ro"}),
    "/sys/fs/cgroup": ("cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro", "rprivate", "private"}),
}
"""What every container has mounted, and what may be said of it."""

DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "console", "ptmx")
_IDLE = {"rw", "suid", "dev", "exec", "relatime", "private", "rprivate", "defaults"}
_FLAGS = ("nosuid", "nodev", "noexec")


def words_of(spec: RuntimeSpec, directory: str) -> tuple[dict[str, Any], Bundled]:
    """The words for run_options(), paths below the bundle's `directory` absolute. Raises UsageError."""
    linux = spec.linux
    protected = Protected(masked=tuple(linux.masked_paths or ()), read_only=tuple(linux.readonly_paths or ()))
    _check_namespaces(spec)
    for index, device in enumerate(linux.devices or ()):
        if device.path.removeprefix("/dev/") not in DEVICES:
            raise refused(f"linux.devices[{index}]: {device.path} is of no machine", "leave it out")
    if linux.rootfs_propagation not in (None, "", "private", "rprivate", "slave", "rslave"):
        raise refused("linux.rootfsPropagation: a machine shares no mounts", "say private")
    words = {
        **_of_process(spec.process),
        **_of_mounts(spec.mounts or (), directory),
        **_of_resources(linux.resources or Resources()),
        "hostname": spec.hostname,
        "domainname": spec.domainname,
        "read_only": spec.root.readonly,
        "sysctls": linux.sysctl or {},
        "labels": spec.annotations or {},
        "stop_signal": (spec.annotations or {}).get(STOP_SIGNAL) or None,
        "seccomp": linux.seccomp or "unconfined",
    }
    return words, Bundled(protected=protected)


def _of_process(process: Process) -> dict[str, Any]:
    if not process.args:
        raise refused("process.args is empty", "name a program")
    if not process.cwd.startswith("/"):
        raise refused(f"process.cwd {process.cwd!r} is not an absolute path", "begin it with /")
    return {
        "env": _environment(process),
        "workdir": process.cwd,
        "user": f"{process.user.uid}:{process.user.gid}",
        "groups": process.user.additional_gids or (),
        "umask": process.user.umask,
        "terminal": _terminal(process),
        "capabilities": _capabilities(process),
        "ulimits": _rlimits(process),
        "no_new_privs": bool(process.no_new_privileges),
        "apparmor": process.apparmor_profile or "",
        "selinux": process.selinux_label or "",
        "oom_score_adj": process.oom_score_adj,
        "scheduler": _scheduler(process),
        "io_priority": _io_priority(process),
    }


def _environment(process: Process) -> tuple[str, ...]:
    for index, variable in enumerate(process.env or ()):
        if "=" not in variable:
            raise refused(f"process.env[{index}] {variable!r} has no value", "write NAME=VALUE")
    return tuple(process.env or ())


def _terminal(process: Process) -> TerminalSize | None:
    if not process.terminal:
        return None
    size = process.console_size
    return TerminalSize() if size is None else TerminalSize(rows=size.height, cols=size.width)


def _capabilities(process: Process) -> dict[str, tuple[str, ...]]:
    """The five sets; what is ambient without being permitted and inheritable no process can have, and crun
    and runc leave out, too.
    """
    asked = process.capabilities
    names = ("bounding", "effective", "inheritable", "permitted", "ambient")
    sets = {name: (getattr(asked, name) if asked else None) or () for name in names}
    possible = set(sets["permitted"]) & set(sets["inheritable"])
    return {**sets, "ambient": tuple(each for each in sets["ambient"] if each in possible)}


def _rlimits(process: Process) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for index, limit in enumerate(process.rlimits or ()):
        if limit.type in found:
            raise refused(f"process.rlimits[{index}]: {limit.type} is given twice", "give it once")
        found[limit.type] = (limit.soft, limit.hard)
    return found


def _scheduler(process: Process) -> policy.Scheduler | None:
    asked = process.scheduler
    if asked is None:
        return None
    return policy.Scheduler(
        policy=asked.policy,
        nice=asked.nice or 0,
        priority=asked.priority or 0,
        flags=tuple(asked.flags or ()),
    )


def _io_priority(process: Process) -> policy.IoPriority | None:
    asked = process.io_priority
    return None if asked is None else policy.IoPriority(io_class=asked.io_class, priority=asked.priority)


def _check_namespaces(spec: RuntimeSpec) -> None:
    asked = spec.linux.namespaces or ()
    for index, namespace in enumerate(asked):
        known = (*NAMESPACES, "cgroup")
        if namespace.type not in known:
            raise refused(
                f"linux.namespaces[{index}]: {namespace.type} cannot be honoured",
                "a machine of its own takes its place; leave it out",
            )
        if namespace.path:
            raise refused(
                f"linux.namespaces[{index}].path: a machine cannot join a namespace of the host",
                "leave the path out",
            )
    for name in NAMESPACES:
        if name not in {namespace.type for namespace in asked}:
            raise refused(
                f"linux.namespaces lacks {name}, and a machine cannot share that of the host", "add it"
            )


def _of_resources(resources: Resources) -> dict[str, Any]:
    for index, rule in enumerate(resources.devices or ()):
        if rule.allow:
            raise refused(f"linux.resources.devices[{index}] allows one", "a machine has none of the host's")
    cpu, memory, pids = resources.cpu or Cpu(), resources.memory, resources.pids
    limit = memory.limit if memory is not None and (memory.limit or 0) > 0 else None
    return {
        "memory": limit,
        "memory_swap": memory.swap or None if memory is not None else None,
        "cpus": _cpus(cpu),
        "cpu_shares": cpu.shares or None,
        "cpuset_cpus": cpu.cpus or "",
        "pids_limit": pids.limit if pids is not None and (pids.limit or 0) > 0 else None,
    }


def _cpus(cpu: Cpu) -> float | None:
    if (cpu.quota or 0) <= 0:
        return None
    if (cpu.period or 0) < 0:
        raise refused(f"linux.resources.cpu.period {cpu.period} is no time", "give microseconds")
    return (cpu.quota or 0) / (cpu.period or 100_000)


def _of_mounts(mounts: Iterable[Mount], directory: str) -> dict[str, Any]:
    found: dict[str, Any] = {"mounts": []}
    for index, mount in enumerate(mounts):
        place = f"mounts[{index}]"
        target = container_path(f"config.json: {place}", mount.destination)
        if target in OURS:
            found |= _ours(place, target, mount)
        elif mount.type == "tmpfs":
            found["mounts"].append(_tmpfs(place, target, mount))
        elif mount.type == "bind" or {"bind", "rbind"} & set(mount.options or ()):
            found["mounts"].append(_bind(place, target, mount, directory))
        else:
            raise refused(f"{place}: type {mount.type!r} cannot be honoured", "there are bind and tmpfs")
    return found


def _ours(place: str, target: str, mount: Mount) -> dict[str, Any]:
    """What there is without a word; of /dev/shm the size can be chosen."""
    kind, known = OURS[target]
    if mount.type != kind:
        raise refused(f"{place}: type {mount.type!r} at {target} cannot be honoured", f"it is {kind}")
    words = {}
    for option in mount.options or ():
        if target == "/dev/shm" and option.startswith("size="):
            words["shm_size"] = _size(place, option)
        elif option not in known | _IDLE - {"rw"}:
            raise _no_option(place, option)
    return words


def _tmpfs(place: str, target: str, mount: Mount) -> Tmpfs:
    options = []
    for option in mount.options or ():
        name, _, value = option.partition("=")
        if option in ("ro", *_FLAGS):
            options.append(option)
        elif name == "size":
            options.append(f"size={_size(place, option)}")
        elif name == "mode" and value and set(value) <= set("01234567") and int(value, 8) <= 0o7777:
            options.append(f"mode={value}")
        elif option not in _IDLE:
            raise _no_option(place, option)
    return Tmpfs(target=target, options=tuple(options))


def _bind(place: str, target: str, mount: Mount, directory: str) -> Bind:
    if not mount.source:
        raise refused(f"{place} has no source", "name a file or a directory of the host")
    options = mount.options or ()
    for option in options:
        if option not in _IDLE | {"ro", "bind", "rbind", "slave", "rslave", *_FLAGS}:
            raise _no_option(place, option)
    return Bind(
        source=os.path.abspath(os.path.join(directory, mount.source)),
        target=target,
        readonly="ro" in options,
        options=tuple(flag for flag in _FLAGS if flag in options),
    )


def _size(place: str, option: str) -> int:
    """`size=65536k`, in the units of tmpfs(5)."""
    try:
        return parse_size(option.partition("=")[2])
    except UsageError as error:
        raise refused(f"{place}: {option}: {error}", "such as size=64m") from error


def _no_option(place: str, option: str) -> UsageError:
    return refused(f"{place}: option {option!r} cannot be honoured", "leave it out")
