"""Emulators: whether programs of another architecture can be run here, in machines."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from firkin.errors import HostUnsupported
from firkin.faults import machines
from firkin.faults.fault import Finding
from firkin.host.asker import Asker
from firkin.machine.translator import ARCHITECTURES, find


class Facts(msgspec.Struct, frozen=True):
    """The architectures whose programs are translated."""

    translated: tuple[str, ...] = tuple(ARCHITECTURES)


def gather(asker: Asker) -> Facts:
    return Facts(tuple(each for each in ARCHITECTURES if _has(asker, each)))


def _has(asker: Asker, architecture: str) -> bool:
    try:
        find(architecture, asker.places)
    except HostUnsupported:
        return False
    return True


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    if not facts.translated:
        yield machines.EMULATOR_MISSING.found()
