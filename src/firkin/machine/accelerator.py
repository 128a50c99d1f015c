"""KVM or TCG for a machine: what the user asked for, and what this host can really do.

The rule: /dev/kvm is believed only after a small guest ran on it, and then a whole machine reached its agent
on it; the answer holds until the host boots again or the kernel, QEMU or agent change. Whatever is used
instead of KVM is said aloud.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from firkin.errors import HostUnsupported
from firkin.machine.artifacts import keep, lookup
from firkin.machine.qemu.command import Accelerator
from firkin.settings import Settings

Trial = Callable[[], Awaitable[bool]]
DEVICE = "/dev/kvm"
_BROKEN = "`firkin doctor --explain kvm-broken` says more"
_MISSING = "`firkin doctor --explain kvm-missing` says more"
"""Written out: a machine's start on a host without KVM does not wait for the doctor's texts."""
_SLOWER = "the machine runs in software (TCG), several times slower"


class Verdict(msgspec.Struct, frozen=True):
    """What to use, and a line for the user where that is not what they might expect."""

    accelerator: Accelerator
    notice: str = ""


async def choose_accelerator(settings: Settings, inputs: tuple[str, ...], trial: Trial) -> Verdict:
    """The accelerator for a machine whose programs are stamped as `inputs` (they name the boot of the host
    too).

    `trial` boots a machine on KVM and says whether its agent answered; it is called at most once for each
    `inputs`. Raises HostUnsupported where the setting demands KVM and it does not work.
    """
    found = known_accelerator(settings, inputs)
    return found or _verdict(settings, await _tried(settings.paths.cache_dir, inputs, trial), _BROKEN)


def known_accelerator(settings: Settings, inputs: tuple[str, ...]) -> Verdict | None:
    """As choose_accelerator, from what is known already; None where KVM has to be tried first."""
    if settings.accelerator == "tcg":
        return Verdict("tcg")
    problem, hint = _unusable()
    if not problem:
        known = lookup(settings.paths.cache_dir, "kvm", inputs)
        if known is None:
            return None
        problem, hint = known.read_text(), _BROKEN
    return _verdict(settings, problem, hint)


def _verdict(settings: Settings, problem: str, hint: str) -> Verdict:
    if not problem:
        return Verdict("kvm")
    if settings.accelerator == "kvm":
        raise HostUnsupported(f"KVM was asked for, but {problem}", hint=f"{hint}; or set accelerator to auto")
    return Verdict("tcg", f"{problem}: {_SLOWER} ({hint})")


def _unusable() -> tuple[str, str]:
    """Why /dev/kvm cannot even be opened, and what to do; empty where it can."""
    if (cpu := os.uname().machine) != "x86_64":
        return f"this host's CPU ({cpu}) is not the machine's", "use an x86-64 host"
    try:
        os.close(os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return "this host has no /dev/kvm", _MISSING
    except PermissionError:
        from firkin.faults.machines import KVM_DENIED

        return "this user may not open /dev/kvm", KVM_DENIED.hint()
    except OSError as error:
        return f"/dev/kvm cannot be opened: {error.strerror}", _MISSING
    return "", ""


async def _tried(cache_dir: Path, inputs: tuple[str, ...], trial: Trial) -> str:
    """Why KVM does not work, "" where it does."""
    from firkin.machine import kvm_probe

    answer = kvm_probe.probe(DEVICE)
    if answer != "runs":
        problem = f"a guest on /dev/kvm {answer}"
    else:
        problem = "" if await trial() else "a machine on /dev/kvm never reached its agent"
    keep(cache_dir, "kvm", inputs, problem.encode())
    return problem
