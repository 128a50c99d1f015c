"""A process as the agent is asked for it."""

from __future__ import annotations

import os

import msgspec

from firkin.container.spec import Isolation
from firkin.process import policy
from firkin.process.policy import ProcessPolicy
from firkin.process.raw import raw
from firkin.process.spec import ProcessSpec
from firkin.wire import messages as wire

# NOFILE as systemd gives services: select(2) works, and who needs more may raise it. No surprise core files.
RLIMITS = (
    wire.Rlimit(type=policy.RLIMITS.index("CORE"), soft=0, hard=policy.UNLIMITED),
    wire.Rlimit(type=policy.RLIMITS.index("NOFILE"), soft=1024, hard=524288),
)


def rlimits_of(isolation: Isolation) -> tuple[wire.Rlimit, ...]:
    """What a process has that nothing else was asked for; where the kernel is the host's, no more than we
    have.
    """
    if isolation == "vm":
        return RLIMITS
    import resource

    core, files = RLIMITS
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = files.hard if hard == resource.RLIM_INFINITY else min(files.hard, hard)
    return core, msgspec.structs.replace(files, soft=min(files.soft, most), hard=most)


def spawn_op(
    container_id: str,
    process: ProcessSpec,
    filter: wire.Filter | None = None,
    rlimits: tuple[wire.Rlimit, ...] = RLIMITS,
) -> wire.Spawn:
    """`process` in that container; the client fills in its number and its streams."""
    terminal, asked = process.terminal, process.policy
    return wire.Spawn(
        proc=0,
        container=container_id,
        args=tuple(os.fsdecode(raw(word)) for word in process.args),
        env=tuple(os.fsdecode(raw(word)) for word in process.env),
        cwd=process.cwd,
        user=process.user,
        groups=process.groups,
        caps=asked.capabilities,
        umask=asked.umask,
        rlimits=tuple({limit.type: limit for limit in (*rlimits, *asked.rlimits)}.values()),
        no_new_privs=asked.no_new_privs,
        oom_score_adj=asked.oom_score_adj,
        selinux=asked.selinux,
        apparmor=asked.apparmor,
        scheduler=_scheduler(asked),
        io_priority=0 if asked.io_priority is None else asked.io_priority.value,
        filter=filter,
        init=process.init,
        terminal=None if terminal is None else wire.Terminal(rows=terminal.rows, cols=terminal.cols),
    )


def _scheduler(asked: ProcessPolicy) -> wire.Scheduler | None:
    wanted = asked.scheduler
    if wanted is None:
        return None
    return wire.Scheduler(
        policy=policy.SCHEDULERS[wanted.policy],
        priority=wanted.priority,
        nice=wanted.nice,
        flags=sum(policy.SCHEDULER_FLAGS[flag] for flag in dict.fromkeys(wanted.flags)),
    )
