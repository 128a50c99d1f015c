"""Control groups: which version, what is delegated to this user, which limits will hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from firkin.faults import kernel
from firkin.faults.fault import Finding
from firkin.host import reading
from firkin.host.asker import Asker

_ROOT = Path("/sys/fs/cgroup")
LIMITS = {
    "cpu": "--cpus",
    "cpuset": "--cpuset-cpus",
    "io": "--device-read-bps",
    "memory": "--memory",
    "pids": "--pids-limit",
}


class Facts(msgspec.Struct, frozen=True):
    """`group` is this process's; `delegated` the one that this user may fill, "" where there is none."""

    version: Literal["none", "1", "hybrid", "2"] = "2"
    group: str = "/"
    delegated: str = "/"
    controllers: tuple[str, ...] = tuple(LIMITS)


def gather(asker: Asker) -> Facts:
    version = _version(asker)
    lines = (reading.text("/proc/self/cgroup") or "").splitlines()
    group = next((line[3:] for line in lines if line.startswith("0::")), "/")
    if version != "2":
        held = tuple(name for name in LIMITS if _may_fill(asker, _v1_group(lines, name)))
        return Facts(version, group, "/" if held else "", held)
    service = f"/user.slice/user-{asker.uid}.slice/user@{asker.uid}.service"
    fillable = (each for each in (group, service) if _may_fill(asker, _ROOT / each.lstrip("/")))
    delegated = next(fillable, "")
    controllers = (
        reading.text(_ROOT / (delegated or group).lstrip("/") / "cgroup.controllers") or ""
    ).split()
    return Facts("2", group, delegated, tuple(name for name in LIMITS if name in controllers))


def _version(asker: Asker) -> Literal["none", "1", "hybrid", "2"]:
    kinds = {mount.kind for mount in asker.mounts if mount.target.startswith(str(_ROOT))}
    tops = [mount.kind for mount in asker.mounts if mount.target == str(_ROOT)]
    if tops[-1:] == ["cgroup2"]:
        return "2"
    if "cgroup" not in kinds:
        return "none"
    return "hybrid" if "cgroup2" in kinds else "1"


def _v1_group(lines: list[str], controller: str) -> Path:
    """This process's group of a version 1 controller; a path that is not there where it has none."""
    name = {"io": "blkio"}.get(controller, controller)
    for line in lines:
        _, controllers, path = line.split(":", 2) if line.count(":") >= 2 else ("", "", "")
        if name in controllers.split(","):
            return _ROOT / name / path.lstrip("/")
    return _ROOT / ".none"


def _may_fill(asker: Asker, directory: Path) -> bool:
    return os.access(directory, os.W_OK) and os.access(directory / "cgroup.procs", os.W_OK)


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    if facts.version == "none":
        yield kernel.CGROUPS_ABSENT.found()
        return
    if facts.version == "1":
        yield kernel.CGROUPS_V1.found()
    if facts.version == "hybrid":
        yield kernel.CGROUPS_HYBRID.found()
    if asker.uid != 0 and not facts.delegated:
        yield kernel.CGROUPS_UNDELEGATED.found(
            f"no control group is delegated to {asker.user}", user=asker.user
        )
    elif lost := [f"{name} ({flag})" for name, flag in LIMITS.items() if name not in facts.controllers]:
        group = facts.delegated or facts.group
        yield kernel.CGROUPS_CONTROLLERS.found(f"limits that will not hold: {', '.join(lost)}", group=group)
