"""The agent's refusals as errors in plain words."""

from __future__ import annotations

import errno
import os
from typing import Any

from firkin.errors import (
    AgentError,
    CommandNotExecutable,
    CommandNotFound,
    FirkinError,
    HostUnsupported,
    PortInUse,
    StorageFull,
    UsageError,
)
from firkin.wire.messages import Failure, convert


def error_of(message: dict[str, Any], machine: str) -> FirkinError:
    """The error for an `err` map of the agent of `machine`. Raises ProtocolError where it is not one."""
    failure = convert(message, Failure)
    what = failure.object
    match failure.step:
        case "exec" if failure.errno == errno.ENOENT:
            return CommandNotFound(
                f"command not found in container: {what!r}",
                hint="check its spelling and PATH, or whether the image holds it",
            )
        case "exec":
            return CommandNotExecutable(
                f"cannot execute {what!r} in container: {os.strerror(failure.errno)}",
                hint="it must be an executable file for the image's platform",
            )
        case "lookup user" | "lookup group":
            kind = failure.step.removeprefix("lookup ")
            table = "/etc/passwd" if kind == "user" else "/etc/group"
            return UsageError(
                f"unknown {kind} {what!r} in container",
                hint=f"name one from the image's {table}, or give a number",
            )
        case "listen" if failure.errno == errno.EADDRINUSE:
            return PortInUse(
                f"cannot listen on {what} in container: it is in use",
                hint="choose another place, or end what listens there",
            )
        case "selinux" | "apparmor":
            return _unlabelled(failure)
        case "guard":
            return HostUnsupported(
                f"the kernel of machine {machine!r} cannot keep its published ports from being a way to the "
                f"host's loopback: {os.strerror(failure.errno)}",
                hint="boot one with CONFIG_CGROUP_BPF, or allow it: --network user:host-loopback=true",
            )
    if failure.errno == errno.ENOSPC:
        return StorageFull(
            f"machine {machine!r} cannot {failure.step} {what!r}: its disk is full",
            hint="remove files in the container, or run it with a larger disk",
        )
    return AgentError(f"machine {machine!r} cannot {failure.step} {what!r}: {os.strerror(failure.errno)}")


def _unlabelled(failure: Failure) -> FirkinError:
    """The refusal of a label: a process never starts with less of a wall than was asked for."""
    module = {"selinux": "SELinux", "apparmor": "AppArmor"}[failure.step]
    if failure.errno == errno.EOPNOTSUPP:
        return HostUnsupported(
            f"cannot label a process {failure.object!r}: the guest's kernel runs no {module}",
            hint=f"leave the label out, or boot a kernel that runs {module}",
        )
    return UsageError(
        f"cannot label a process {failure.object!r}: {os.strerror(failure.errno)}",
        hint=f"the guest's {module} must have it loaded: name one that it knows, or leave it out",
    )
