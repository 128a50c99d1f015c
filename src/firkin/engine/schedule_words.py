"""Words for how a process is scheduled, and its input and output: `fifo:10`, `batch:5`, `best-effort:4`."""

from __future__ import annotations

from firkin.engine.ulimit_words import number_of
from firkin.errors import UsageError
from firkin.process import policy
from firkin.process.policy import IoPriority, Scheduler


def scheduler_of(said: str | Scheduler | None) -> Scheduler | None:
    """`idle`, `fifo:10`, `other:-5`: a policy, and its priority, or its nice value where it has none."""
    if said is None or said == "":
        return None
    return checked_scheduler("scheduler", said if isinstance(said, Scheduler) else _parsed_scheduler(said))


def _parsed_scheduler(text: str) -> Scheduler:
    name, colon, number = text.partition(":")
    name = f"SCHED_{name.upper().removeprefix('SCHED_')}"
    realtime = name in ("SCHED_FIFO", "SCHED_RR")
    value = number_of("scheduler", number, -1000, 1000) if colon else None
    if colon and value is None:
        raise UsageError(f"scheduler: {text!r} has no number behind :", hint="such as fifo:10 or other:5")
    return Scheduler(policy=name, priority=value or 0 if realtime else 0, nice=0 if realtime else value or 0)


def checked_scheduler(field: str, found: Scheduler) -> Scheduler:
    """`found`, where a container may have it. Raises UsageError."""
    if found.policy not in policy.SCHEDULERS or found.policy in ("SCHED_ISO", "SCHED_DEADLINE"):
        raise UsageError(
            f"{field}: {found.policy} is not one of SCHED_OTHER, _BATCH, _IDLE, _FIFO, _RR",
            hint="no process may come before what holds its machine still while that is saved",
        )
    realtime = found.policy in ("SCHED_FIFO", "SCHED_RR")
    least, most = (1, policy.MOST_REALTIME_PRIORITY) if realtime else (0, 0)
    if not least <= found.priority <= most:
        raise UsageError(
            f"{field}: priority {found.priority} of {found.policy} is not from {least} to {most}",
            hint="those above are the machine's own" if realtime else "give it a nice value",
        )
    if not -20 <= found.nice <= 19:
        raise UsageError(f"{field}: nice {found.nice} is not from -20 to 19", hint="give one of them")
    for flag in found.flags:
        if flag not in policy.SCHEDULER_FLAGS:
            raise UsageError(f"{field}: {flag!r} is not a flag of sched_setattr(2)", hint="leave it out")
    return found


def io_priority_of(said: str | IoPriority | None) -> IoPriority | None:
    """`idle`, `best-effort:4`, `realtime:0`, as ionice(1) calls them."""
    if said is None or said == "":
        return None
    return checked_io_priority(
        "io_priority", said if isinstance(said, IoPriority) else _parsed_io_priority(said)
    )


def _parsed_io_priority(text: str) -> IoPriority:
    name, _, number = text.partition(":")
    known = {"realtime": "IOPRIO_CLASS_RT", "best-effort": "IOPRIO_CLASS_BE", "idle": "IOPRIO_CLASS_IDLE"}
    return IoPriority(io_class=known.get(name, name), priority=number_of("io_priority", number, 0, 7) or 0)


def checked_io_priority(field: str, found: IoPriority) -> IoPriority:
    """`found`, where it is a class and a priority of it. Raises UsageError."""
    if found.io_class not in policy.IO_CLASSES:
        raise UsageError(
            f"{field}: {found.io_class!r} is not one of realtime, best-effort, idle",
            hint="choose one of them",
        )
    if not 0 <= found.priority <= 7:
        raise UsageError(f"{field}: priority {found.priority} is not from 0 to 7", hint="0 comes first")
    return found
