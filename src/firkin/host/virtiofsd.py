"""Virtiofsd: whether directories of this host can be shared with machines."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from firkin.errors import HostUnsupported
from firkin.faults import machines
from firkin.faults.fault import Finding
from firkin.host.asker import Asker
from firkin.machine.virtiofsd import find_program


class Facts(msgspec.Struct, frozen=True):
    problem: str = ""


def gather(asker: Asker) -> Facts:
    try:
        find_program(asker.settings)
    except HostUnsupported as error:
        return Facts(str(error))
    return Facts()


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    if facts.problem:
        yield machines.VIRTIOFSD_MISSING.found(facts.problem)
