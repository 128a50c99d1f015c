"""ProcessPolicy: what a process may do and how it is treated, as the kernel is told it just before exec.

Values only, which engine.policy_words makes from words. The rule: what stands here reaches the kernel as it
is, or the process does not start.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from firkin.process import capabilities
from firkin.wire.privileges import Capabilities, Rlimit

RLIMITS = (
    *("CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE"),
    *("MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"),
)
"""Names of setrlimit(2) without RLIMIT_, in the order of their numbers (asm-generic/resource.h)."""

UNLIMITED = (1 << 64) - 1

SCHEDULERS = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
SCHEDULER_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
"""sched_setattr(2), linux/sched.h."""

IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
"""ioprio_set(2)."""

MOST_REALTIME_PRIORITY = 49
"""Above it is what holds a machine still while it is saved (guest/hold.c)."""


class Scheduler(msgspec.Struct, frozen=True, kw_only=True):
    """How a process is scheduled: `scheduler` of the OCI runtime spec."""

    policy: str = "SCHED_OTHER"
    nice: int = 0
    priority: int = 0
    flags: tuple[str, ...] = ()


class IoPriority(msgspec.Struct, frozen=True, kw_only=True):
    """`ioPriority` of the OCI runtime spec."""

    io_class: str
    priority: int = 0

    @property
    def value(self) -> int:
        """As ioprio_set(2) takes it."""
        return IO_CLASSES[self.io_class] << 13 | self.priority


class Seccomp(msgspec.Struct, frozen=True, kw_only=True):
    """Which system calls there are for a process."""

    kind: Literal["default", "unconfined", "profile"] = "unconfined"
    """Not `default`, with which an exec under TCG takes 4 to 5 ms of processor time more."""
    profile: str = ""
    """The JSON of a `profile`, in the form of Docker's files or of the OCI runtime spec."""


class ProcessPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Of one process. The defaults are Docker's."""

    umask: int = 0o022
    capabilities: Capabilities = capabilities.DEFAULT
    rlimits: tuple[Rlimit, ...] = ()
    """Those that were asked for, beside those that every container has."""
    no_new_privs: bool = False
    seccomp: Seccomp = Seccomp()
    selinux: str = ""
    """A label, such as system_u:system_r:container_t:s0; "" for none."""
    apparmor: str = ""
    """The name of a profile that the guest's kernel has loaded; "" for none."""
    oom_score_adj: int = 0
    scheduler: Scheduler | None = None
    io_priority: IoPriority | None = None
