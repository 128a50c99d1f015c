"""Nesting: whether this host is itself a container or a virtual machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import msgspec

from firkin.faults import kernel
from firkin.faults.fault import Finding
from firkin.host import reading
from firkin.host.asker import Asker

_CONTAINER = re.compile(rb"(?:^|\0)container=([a-z0-9_.-]{1,40})\0")
_MARKS = {"/.dockerenv": "docker", "/run/.containerenv": "podman"}


class Facts(msgspec.Struct, frozen=True):
    """`container` names what we are in, "" outside; `virtualizes` says that the CPU can."""

    container: str = ""
    machine: bool = False
    virtualizes: bool = True


def gather(asker: Asker) -> Facts:
    flags = next(
        (
            line
            for line in (reading.text("/proc/cpuinfo", 16384) or "").splitlines()
            if line.startswith("flags")
        ),
        "",
    ).split()
    return Facts(_container(), "hypervisor" in flags, "vmx" in flags or "svm" in flags)


def _container() -> str:
    for path, name in _MARKS.items():
        if os.path.exists(path):
            return name
    if told := (reading.text("/run/systemd/container", 64) or "").strip():
        return told
    found = _CONTAINER.search(reading.content("/proc/1/environ", 65536) or b"")
    return found[1].decode() if found else ""


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    if facts.container:
        yield kernel.IN_CONTAINER.found(f"this is a container ({facts.container})")
    if facts.machine and not facts.virtualizes:
        yield kernel.IN_VM.found()
