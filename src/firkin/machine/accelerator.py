"""KVM or TCG for a machine: what the user asked for, and what this host can really do.

The rule: /dev/kvm is believed only after a guest ran on it; whatever is chosen instead of it is said aloud.
"""

from __future__ import annotations

from dataclasses import dataclass

from firkin.machine.qemu.command import Accelerator
from firkin.settings import Settings


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to use, and a line for the user where that is not what they might expect."""

    accelerator: Accelerator
    notice: str = ""


async def choose_accelerator(settings: Settings) -> Verdict:
    """The accelerator for a machine."""
    return Verdict("tcg")
