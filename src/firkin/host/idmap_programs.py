"""newuidmap and newgidmap: whether they have, and keep, the right that they exist for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from firkin.faults import ids
from firkin.faults.fault import Finding
from firkin.host.asker import Asker
from firkin.linux.idmap_programs import CAPABILITIES, Program


class Facts(msgspec.Struct, frozen=True):
    programs: tuple[Program, ...] = ()


def gather(asker: Asker) -> Facts:
    return Facts(tuple(_program(asker, name) for name in CAPABILITIES))


def _program(asker: Asker, name: str) -> Program:
    path = asker.program(name)
    if not path:
        return Program(name)
    mount = asker.mount_of(Path(path))
    return Program.at(name, path, mount.target if mount else "/")


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    if asker.uid == 0:
        return  # root writes any map itself
    missing = [each.name for each in facts.programs if not each.path]
    if missing:
        yield ids.IDMAP_MISSING.found(f"{' and '.join(missing)} cannot be found")
    there = [each for each in facts.programs if each.path]
    if weak := [each.path for each in there if not (each.setuid or each.capable)]:
        what = f"{' and '.join(weak)}: neither the setuid bit of root nor the capability"
        yield ids.IDMAP_POWERLESS.found(what, path=weak[0])
    if held := [each for each in there if each.nosuid]:
        what = f"{' and '.join(each.path for each in held)}: mounted nosuid at {held[0].mount}"
        yield ids.IDMAP_NOSUID.found(what, path=held[0].path, mount=held[0].mount)
    if asker.no_new_privs:
        yield ids.NO_NEW_PRIVS.found()
