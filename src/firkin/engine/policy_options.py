"""PolicyOptions: what was asked for of a process's policy, and what it makes of the policy that is its model.

For a container's first process the model is Docker's default, for any other one that of the first process.
"""

from __future__ import annotations

from typing import Any

import msgspec

from firkin.process import capabilities
from firkin.process.policy import IoPriority, ProcessPolicy, Scheduler, Seccomp
from firkin.wire.privileges import Capabilities, Rlimit


class PolicyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """None, or an empty value, leaves it to the model."""

    privileged: bool = False
    """All capabilities and no filter, unless said otherwise."""
    capabilities: Capabilities | None = None
    """Exactly these."""
    cap_add: int = 0
    """Bits. Where every one is set, what is dropped is taken from all there are; as Docker."""
    cap_drop: int = 0
    umask: int | None = None
    rlimits: tuple[Rlimit, ...] = ()
    no_new_privs: bool | None = None
    seccomp: Seccomp | None = None
    selinux: str | None = None
    apparmor: str | None = None
    oom_score_adj: int | None = None
    scheduler: Scheduler | None = None
    io_priority: IoPriority | None = None

    def applied(self, model: ProcessPolicy) -> ProcessPolicy:
        """The policy of a process whose model has `model`."""
        said: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("umask", "no_new_privs", "selinux", "apparmor", "oom_score_adj")
            if getattr(self, name) is not None
        }
        if self.privileged:
            model = msgspec.structs.replace(
                model, capabilities=capabilities.granted(capabilities.ALL), seccomp=Seccomp(kind="unconfined")
            )
        limits = {each.type: each for each in (*model.rlimits, *self.rlimits)}
        return msgspec.structs.replace(
            model,
            capabilities=self._capabilities(model.capabilities),
            rlimits=tuple(limits.values()),
            seccomp=self.seccomp or model.seccomp,
            scheduler=self.scheduler or model.scheduler,
            io_priority=self.io_priority or model.io_priority,
            **said,
        )

    def _capabilities(self, model: Capabilities) -> Capabilities:
        if self.capabilities is not None:
            return self.capabilities
        if not (self.cap_add or self.cap_drop):
            return model
        if self.cap_add == capabilities.ALL:
            return capabilities.granted(capabilities.ALL & ~self.cap_drop)
        return capabilities.granted(model.bounding & ~self.cap_drop | self.cap_add)
