"""Ending: how a container's life came to its end, for the record and for whoever waits."""

from __future__ import annotations

import signal

import msgspec

from firkin.container.record import LOST
from firkin.process.spec import ExitStatus


class Ending(msgspec.Struct, frozen=True):
    """`status` and `reason` go on record; `error` is raised for who waits, where there was no proper end."""

    status: ExitStatus
    reason: str = ""
    error: BaseException | None = None

    @property
    def orderly(self) -> bool:
        """Whether the machine still listens, so that what was written can be synced."""
        return self.error is None and not self.reason

    @classmethod
    def failed(cls, error: BaseException) -> Ending:
        """Something else than the process ended it: its machine, or a fault of ours."""
        why = getattr(error, "why", "")
        return cls(msgspec.structs.replace(LOST, why=why), str(error) or repr(error), error)


KILLED = Ending(ExitStatus(signal=signal.SIGKILL), "killed with its machine")
"""Somebody who may said that it is to end at once."""
