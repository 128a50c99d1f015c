"""What to run (ProcessSpec) and how it ended (ExitStatus)."""

from __future__ import annotations

import signal as signals
from typing import Literal

import msgspec

from firkin.process.policy import ProcessPolicy


class TerminalSize(msgspec.Struct, frozen=True):
    rows: int = 24
    cols: int = 80


class Outputs(msgspec.Struct, frozen=True, kw_only=True):
    """Where a process's outputs go: to whoever reads them, or to /dev/null. A terminal has one, no choice."""

    stdout: Literal["pipe", "null"] = "pipe"
    stderr: Literal["pipe", "null", "stdout"] = "pipe"
    """ "stdout": both are one, whose bytes come in the order of writing."""

    def connected(self) -> dict[str, bool]:
        """As an agent's client is asked for them."""
        return {
            "stdout": self.stdout == "pipe",
            "stderr": self.stderr == "pipe",
            "merged": self.stderr == "stdout",
        }


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One process in a container. Defaults of an image have already been applied."""

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    """`KEY=value` strings; later ones win."""
    cwd: str = "/"
    user: str = ""
    """`uid`, `uid:gid`, `name` or `name:group`, looked up inside the container; empty is root."""
    groups: tuple[str, ...] = ()
    """Further groups, by name or number."""
    stdin: bool = False
    """Whether standard input is connected; else it is /dev/null."""
    outputs: Outputs = Outputs()
    policy: ProcessPolicy = ProcessPolicy()
    init: bool = False
    """Whether an init of ours is the container's PID 1, and this its child. For a first process alone."""
    terminal: TerminalSize | None = None
    """A controlling terminal of this size; its output is one stream, stdout."""


Why = Literal["", "oom", "host", "guest"]


class ExitStatus(msgspec.Struct, frozen=True):
    """How a process ended: by `code`, or by `signal`; exactly one of them is not None."""

    code: int | None = None
    signal: int | None = None
    core_dumped: bool = False
    why: Why = ""
    """What ended it, where it was not itself: "oom" (its machine ran out of memory), "host" (the VMM was
    killed or failed), "guest" (the guest's kernel panicked or restarted).
    """

    @property
    def status(self) -> int:
        """What a shell reports: the code, or 128 + the signal's number."""
        return self.code if self.code is not None else 128 + (self.signal or 0)

    @property
    def ok(self) -> bool:
        return self.code == 0

    def __str__(self) -> str:
        out = ", out of memory" if self.why == "oom" else ""
        if self.code is not None:
            return f"exit status {self.code}{out}"
        name = next((each.name for each in signals.Signals if each == self.signal), f"signal {self.signal}")
        return f"killed by {name}" + (" (core dumped)" if self.core_dumped else "") + out
