"""Kvm: whether machines run at full speed: what is known of /dev/kvm, or what a probe guest says now."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

from firkin.errors import FirkinError
from firkin.faults import machines
from firkin.faults.fault import Finding
from firkin.host.asker import Asker
from firkin.host.devices import problem
from firkin.machine.accelerator import DEVICE


class Facts(msgspec.Struct, frozen=True):
    """`device` says why it cannot be opened, `guest` why none runs on it, None where that is not known."""

    asked_for: bool = True
    device: str = ""
    guest: str | None = ""


def gather(asker: Asker) -> Facts:
    wanted = asker.settings.accelerator != "tcg"
    unusable = "" if os.uname().machine == "x86_64" else "is of another processor than the machine's"
    unusable = unusable or problem(DEVICE)
    return Facts(wanted, unusable, None if unusable or not wanted else _known(asker))


def probed(asker: Asker) -> Facts:
    """As gather(), with a guest tried now."""
    from firkin.machine.kvm_probe import probe

    facts = gather(asker)
    if facts.device or not facts.asked_for:
        return facts
    answer = probe(DEVICE)
    said = facts.guest or "" if answer == "runs" else f"a guest on {DEVICE} {answer}"
    return msgspec.structs.replace(facts, guest=said)


def _known(asker: Asker) -> str | None:
    """What the first machine found out; None before it, or where that does not hold any more."""
    from firkin.machine.programs import known_of_kvm

    try:
        return known_of_kvm(asker.settings)
    except (FirkinError, OSError):  # without QEMU or a kernel nothing was tried; their checks say so
        return None


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    if not facts.asked_for:
        return
    if facts.device == "is not there":
        yield machines.KVM_MISSING.found()
    elif facts.device:
        yield machines.KVM_DENIED.found(f"{DEVICE} {facts.device}", user=asker.user)
    elif facts.guest is None:
        yield machines.KVM_UNTRIED.found()
    elif facts.guest:
        yield machines.KVM_BROKEN.found(facts.guest)
