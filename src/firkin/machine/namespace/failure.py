"""Why a namespace could not begin, in words: by the report of its launcher or its PID 1."""

from __future__ import annotations

import errno
import os
import struct

from firkin.errors import FirkinError, HostUnsupported, PortInUse
from firkin.linux import user_namespace

_REPORT = struct.Struct("=Ii32s224s")
"""guest/child.h, struct report: kind, errno, step, object."""
_FAILURE = 3


def failure(name: str, report: bytes, complaint: str = "") -> FirkinError | None:
    """The error that `report` tells of; None where it tells of none. `complaint` is what the programs that
    it started have said.
    """
    if len(report) != _REPORT.size:
        return None
    kind, number, *texts = _REPORT.unpack(report)
    if kind != _FAILURE:
        return None
    step, what = (text.split(b"\0")[0].decode("utf-8", "replace") for text in texts)
    if step == "namespaces":
        return user_namespace.refused(step, number)
    if step == "network":
        return _no_network(name, what, complaint)
    if step == "fuse":
        return _no_overlay(name, what, complaint)
    said = f"cannot start container {name!r} in namespaces: {step} {what}: {os.strerror(number)}"
    return HostUnsupported(said, hint=_hint(step, number))


def _no_network(name: str, program: str, complaint: str) -> FirkinError:
    lines = [line for line in complaint.splitlines() if "syslog" not in line]  # its old versions' own trouble
    if any("Failed to bind" in line for line in lines):
        return PortInUse(
            f"cannot publish the ports of container {name!r}: one was taken just now",
            hint="try again, or choose others",
        )
    said = lines[-1].strip() if lines else "it said nothing"
    return HostUnsupported(
        f"{program} gave container {name!r} no network: {said}",
        hint="run it with --network none, or in a machine",
    )


def _no_overlay(name: str, program: str, complaint: str) -> FirkinError:
    lines = complaint.splitlines()
    said = lines[-1].strip() if lines else "it said nothing"
    return HostUnsupported(
        f"{program} gave container {name!r} no root: {said}",
        hint="`firkin info` shows which storage driver works here; the setting storage_driver chooses",
    )


def _hint(step: str, number: int) -> str:
    if step == "overlay":
        return "this kernel has no overlay for user namespaces there (Linux 5.11 has, on most file systems)"
    if step == "mount" and number == errno.EPERM:
        return "a container around us that hides parts of /proc or /sys keeps the kernel from mounting others"
    return "`firkin doctor` looks for the reason"
