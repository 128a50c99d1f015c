"""How a VMM ended, in words: from its status, what it complained of, and what the guest printed last."""

from __future__ import annotations

import re
import signal
from typing import Literal

import msgspec

from firkin.errors import BootFailed, FirkinError, HostUnsupported, MachineDied, PortInUse

_DEBUG_EXIT_0 = 1
"""isa-debug-exit turns the guest's word 0 into this status (2 * 0 + 1)."""
_PANIC = re.compile(r"Kernel panic - not syncing: (.*)")
_OPTION = re.compile(r"^\S+: (-\w+ \S+: )?")
"""What QEMU puts before its words: its own name, and the option that it stumbled over."""
_FORWARD = re.compile(r"[Cc]ould not set up host forwarding rule '([^']*)'")

_PASSING = ("Cannot allocate memory", "Resource temporarily unavailable", "Device or resource busy")
"""ENOMEM, EAGAIN, EBUSY, as QEMU tells them: others have what it needs, for now."""


class VmmExit(msgspec.Struct, frozen=True):
    """`status` as os.waitstatus_to_exitcode gives it; `reason` in one line; `complaint` is QEMU's standard
    error.
    """

    status: int
    reason: str
    complaint: str = ""

    @property
    def why(self) -> Literal["oom", "host", "guest"]:
        """Who ended it: the guest for want of memory, this host, or the guest for another reason."""
        if self.status < 0 or self.complaint:
            return "host"
        return "oom" if "on memory" in self.reason or "ut of memory" in self.reason else "guest"

    @property
    def clean(self) -> bool:
        """Whether the guest powered the machine off."""
        return self.status == _DEBUG_EXIT_0 and not self.complaint


def explain(status: int, complaint: str, console: str) -> VmmExit:
    """The VmmExit of a VMM with this exit status, standard error and console tail."""
    panic = _PANIC.search(console)
    complaint = "\n".join(line for line in complaint.splitlines() if "warning:" not in line)
    if status < 0:
        reason = f"QEMU was killed by {_signal_name(-status)}"
    elif panic:
        reason = f"kernel panic: {panic[1].strip()}"
    elif complaint:
        reason = _OPTION.sub("", complaint.splitlines()[0])
    elif status == _DEBUG_EXIT_0:
        reason = "powered off"
    else:
        reason = "the guest restarted" if status == 0 else f"QEMU ended with status {status}"
    return VmmExit(status, reason, complaint)


def _signal_name(number: int) -> str:
    return next((each.name for each in signal.Signals if each == number), f"signal {number}")


def boot_failure(name: str, exit: VmmExit, console: str, *, forked: bool = False) -> FirkinError:
    """The error for a machine whose VMM ended before its agent answered; `forked`: it booted no kernel."""
    if forward := _FORWARD.search(exit.complaint):
        return PortInUse(
            f"cannot publish {forward[1]} of machine {name!r}: the host's port is in use",
            hint="choose another port, or find who has it: ss -lntup",
        )
    if passing := _passing(exit):
        return BootFailed(
            f"machine {name!r} ended before its agent answered: {exit.reason}",
            hint="`journalctl -k` tells whether this host is short of memory; then try again",
            console_tail=console,
            passing=passing,
        )
    if exit.complaint and forked:
        return BootFailed(
            f"QEMU cannot go on with machine {name!r}: {exit.reason}",
            hint="what was saved may be damaged: boot it anew",
            console_tail=console,
        )
    if exit.complaint and not console:
        return HostUnsupported(
            f"QEMU did not start machine {name!r}: {exit.reason}",
            hint="check that this QEMU is 7.2 or later and whole: qemu-system-x86_64 --version",
        )
    return BootFailed(
        f"machine {name!r} ended before its agent answered: {exit.reason}",
        hint="see the console's tail; try another kernel: firkin kernel list",
        console_tail=console,
    )


def _passing(exit: VmmExit) -> str:
    """What ended it that may be gone soon; "" for what would end the next one, too."""
    if exit.status in (-signal.SIGKILL, -signal.SIGTERM):
        return "somebody killed it, or this host was out of memory"
    said = next((words for words in _PASSING if words in exit.complaint), "")
    return f"this host said: {said}" if said else ""


def death(name: str, exit: VmmExit) -> MachineDied:
    """The error for a machine that ended under whoever used it."""
    hint = "see its console.log; `firkin rm` tidies"
    if exit.status == -signal.SIGKILL:
        hint = f"somebody killed it, or this host ran out of memory: `journalctl -k` tells; {hint}"
    elif exit.why == "oom":
        hint = f"give it more memory: -m 512m; {hint}"
    error = MachineDied(f"machine {name!r} ended: {exit.reason}", hint=hint)
    error.why = exit.why
    return error
