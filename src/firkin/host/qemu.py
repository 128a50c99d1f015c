"""Qemu: whether it is there, runs, and is new enough."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from firkin.faults import machines
from firkin.faults.fault import Finding
from firkin.host.asker import Asker

OLDEST = (7, 2)
_DEADLINE_S = 5.0
_VERSION = re.compile(r"version (\d+)\.(\d+)")


class Facts(msgspec.Struct, frozen=True):
    """`path` is "" where there is none; `said` what `--version` printed."""

    name: str = "qemu-system-x86_64"
    path: str = "/usr/bin/qemu-system-x86_64"
    said: str = "QEMU emulator version 7.2.0"


def gather(asker: Asker) -> Facts:
    name = asker.settings.qemu
    path = asker.program(name)
    return Facts(name, path, _said(path) if path else "")


def _said(path: str) -> str:
    import subprocess

    try:
        ended = subprocess.run(
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_DEADLINE_S, env={}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (ended.stdout + ended.stderr)[:4096].decode(errors="replace").strip()


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    if not facts.path:
        yield machines.QEMU_MISSING.found(f"there is no QEMU: {facts.name} was not found")
        return
    found = _VERSION.search(facts.said)
    if found is None:
        said = facts.said.splitlines()[-1:] or ["it says nothing"]
        yield machines.QEMU_BROKEN.found(f"{facts.path} does not run: {said[0][:200]}", qemu=facts.path)
    elif (int(found[1]), int(found[2])) < OLDEST:
        what = f"{facts.path} is version {found[1]}.{found[2]}, and 7.2 is needed"
        yield machines.QEMU_OLD.found(what, qemu=facts.path)
