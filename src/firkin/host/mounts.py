"""Mounts: whether / is shared, as rootless containers want it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from firkin.faults.fault import Finding
from firkin.faults.files import ROOT_NOT_SHARED
from firkin.host.asker import Asker


class Facts(msgspec.Struct, frozen=True):
    root_shared: bool = True


def gather(asker: Asker) -> Facts:
    roots = [mount for mount in asker.mounts if mount.target == "/"]
    return Facts(not roots or roots[-1].shared)


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    if not facts.root_shared:
        yield ROOT_NOT_SHARED.found()
