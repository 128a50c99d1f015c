"""Facts of a process's policy, with the names of `docker inspect` where it has them."""

from __future__ import annotations

from typing import Any

import msgspec

from firkin.container.spec import ContainerSpec
from firkin.process import capabilities, policy
from firkin.process.policy import ProcessPolicy


def policy_config(spec: ContainerSpec) -> dict[str, Any]:
    """What `HostConfig` says of the first process."""
    asked = spec.process.policy
    bounding, default = asked.capabilities.bounding, capabilities.DEFAULT.bounding
    hidden = spec.protected.masked or spec.protected.read_only
    return {
        "CapAdd": _names(bounding & ~default),
        "CapDrop": _names(default & ~bounding),
        "Privileged": bounding == capabilities.ALL and not hidden and asked.seccomp.kind == "unconfined",
        "SecurityOpt": _security(asked),
        "GroupAdd": list(spec.process.groups),
        "Ulimits": [
            {"Name": policy.RLIMITS[each.type].lower(), "Soft": _bound(each.soft), "Hard": _bound(each.hard)}
            for each in asked.rlimits
        ],
        "Umask": f"{asked.umask:04o}",
        "OomScoreAdj": asked.oom_score_adj,
        "Scheduler": msgspec.to_builtins(asked.scheduler),
        "IOPriority": msgspec.to_builtins(asked.io_priority),
        "Init": spec.process.init,
        "MaskedPaths": list(spec.protected.masked),
        "ReadonlyPaths": list(spec.protected.read_only),
    }


def _names(bits: int) -> list[str]:
    return [f"CAP_{name}" for name in capabilities.names(bits)]


def _bound(value: int) -> int:
    return -1 if value == policy.UNLIMITED else value


def _security(asked: ProcessPolicy) -> list[str]:
    said = {
        "no-new-privileges": asked.no_new_privs,
        f"seccomp={asked.seccomp.profile or asked.seccomp.kind}": asked.seccomp.kind != "unconfined",
        f"apparmor={asked.apparmor}": asked.apparmor,
        f"label={asked.selinux}": asked.selinux,
    }
    return [text for text, holds in said.items() if holds]
