"""What a policy that somebody else wrote down may hold: numbers that the kernel takes, names that it knows.

What a person writes is refused with more words by engine.policy_words.
"""

from __future__ import annotations

from collections.abc import Iterator

from firkin.process import capabilities
from firkin.process.policy import (
    IO_CLASSES,
    MOST_REALTIME_PRIORITY,
    RLIMITS,
    SCHEDULER_FLAGS,
    SCHEDULERS,
    UNLIMITED,
    ProcessPolicy,
    Scheduler,
)

_MOST_LABEL_CHARS = 255


def out_of_range(policy: ProcessPolicy) -> str:
    """The first field of `policy` that no process can have, with its value; "" where all are possible."""
    return next((f"{value!r} for {field}" for field, value, good in _judged(policy) if not good), "")


def _judged(policy: ProcessPolicy) -> Iterator[tuple[str, object, bool]]:
    """Each field, its value, and whether that is possible."""
    yield "umask", policy.umask, 0 <= policy.umask <= 0o777
    yield "oom_score_adj", policy.oom_score_adj, -1000 <= policy.oom_score_adj <= 1000
    sets = policy.capabilities
    for name in sets.__struct_fields__:
        bits = getattr(sets, name)
        yield f"capabilities.{name}", bits, 0 <= bits <= capabilities.ALL
    yield "capabilities.effective", sets.effective, not sets.effective & ~sets.permitted
    yield "capabilities.ambient", sets.ambient, not sets.ambient & ~(sets.permitted & sets.inheritable)
    yield "rlimits", len(policy.rlimits), len(policy.rlimits) <= len(RLIMITS)
    for limit in policy.rlimits:
        known = 0 <= limit.type < len(RLIMITS)
        yield "rlimits", limit, known and 0 <= limit.soft <= limit.hard <= UNLIMITED
    for name in ("selinux", "apparmor"):
        label = getattr(policy, name)
        yield name, label, len(label) <= _MOST_LABEL_CHARS and label.isascii() and (label + "x").isprintable()
    if policy.scheduler is not None:
        yield "scheduler", policy.scheduler, _can_schedule(policy.scheduler)
    if (wanted := policy.io_priority) is not None:
        yield "io_priority", wanted, wanted.io_class in IO_CLASSES and 0 <= wanted.priority <= 7


def _can_schedule(asked: Scheduler) -> bool:
    """Nothing comes before what holds a machine still while it is saved."""
    realtime = asked.policy in ("SCHED_FIFO", "SCHED_RR")
    least, most = (1, MOST_REALTIME_PRIORITY) if realtime else (0, 0)
    return (
        asked.policy in SCHEDULERS
        and asked.policy not in ("SCHED_ISO", "SCHED_DEADLINE")
        and least <= asked.priority <= most
        and -20 <= asked.nice <= 19
        and all(flag in SCHEDULER_FLAGS for flag in asked.flags)
    )
