"""The words for a process's policy, with the syntax of Docker and podman: PolicyOptions from what was said.

What is out of range or contradicts itself is refused here, before anything starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict

from firkin.engine.capability_words import exact_sets, mask_of
from firkin.engine.policy_options import PolicyOptions
from firkin.engine.schedule_words import io_priority_of, scheduler_of
from firkin.engine.security_words import SYSTEM_PATHS, label_of, seccomp_of, security_of
from firkin.engine.ulimit_words import limits_of, number_of, umask_of
from firkin.errors import UsageError
from firkin.process.policy import IoPriority, Scheduler


class PolicyWords(TypedDict, total=False):
    """What may be said of a process's policy."""

    privileged: bool
    capabilities: Iterable[str] | Mapping[str, Iterable[str]] | None
    cap_add: Iterable[str]
    cap_drop: Iterable[str]
    umask: int | str | None
    ulimits: Mapping[str, int | str | tuple[int, int]] | Iterable[str]
    no_new_privs: bool | None
    seccomp: str | Path | Mapping[str, Any] | None
    selinux: str | None
    apparmor: str | None
    security_opts: Iterable[str]
    oom_score_adj: int | str | None
    scheduler: str | Scheduler | None
    io_priority: str | IoPriority | None


def policy_options(words: PolicyWords) -> PolicyOptions:
    """What `words` ask for. Raises UsageError, which names the word and the rule."""
    said = {**words, **security_of(words.get("security_opts", ()))}
    privileged, exact = words.get("privileged", False), words.get("capabilities")
    add, drop = mask_of("cap_add", words.get("cap_add", ())), mask_of("cap_drop", words.get("cap_drop", ()))
    if exact is not None and (add or drop or privileged):
        raise UsageError(
            "capabilities: the exact set stands alone", hint="leave out cap_add, cap_drop and privileged"
        )
    return PolicyOptions(
        privileged=privileged,
        capabilities=None if exact is None else exact_sets(exact),
        cap_add=add,
        cap_drop=drop,
        umask=umask_of(words.get("umask")),
        rlimits=limits_of(words.get("ulimits", ())),
        no_new_privs=said.get("no_new_privs"),
        seccomp=seccomp_of(said.get("seccomp")),
        selinux=label_of("selinux", said.get("selinux")),
        apparmor=label_of("apparmor", said.get("apparmor")),
        oom_score_adj=number_of("oom_score_adj", words.get("oom_score_adj"), -1000, 1000),
        scheduler=scheduler_of(words.get("scheduler")),
        io_priority=io_priority_of(words.get("io_priority")),
    )


def hides_system_paths(words: PolicyWords) -> bool:
    """Whether what Docker hides of /proc and /sys is to be hidden in the container."""
    return not (words.get("privileged", False) or SYSTEM_PATHS in tuple(words.get("security_opts", ())))


def check_of_a_process(words: PolicyWords) -> None:
    """Refuse what can only be said of a whole container. Raises UsageError."""
    if SYSTEM_PATHS in tuple(words.get("security_opts", ())):
        raise UsageError(
            f"security_opt: {SYSTEM_PATHS} is of a container, and not of one process",
            hint="say it when the container is made",
        )
