"""Kernel: whether a machine has one to boot."""

from __future__ import annotations

from collections.abc import Iterator

from firkin.errors import FirkinError
from firkin.faults import machines
from firkin.faults.fault import Finding
from firkin.host.asker import Asker
from firkin.machine.kernel import Kernel, kernels

Facts = tuple[tuple[Kernel, ...], str]
"""The kernels, the one that would be chosen first; and why the one that the settings name cannot be used."""


def gather(asker: Asker) -> Facts:
    try:
        return tuple(kernels(asker.settings)), ""
    except FirkinError as error:
        return (), str(error)


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    found, problem = facts
    if any(not kernel.problem for kernel in found):
        return
    unreadable = [kernel for kernel in found if "readable" in kernel.problem]
    if unreadable:
        path = unreadable[0].path
        yield machines.KERNEL_UNREADABLE.found(f"{path} cannot be read by {asker.user}", path=path)
    elif found:
        first = found[0]
        what = f"{first.path} cannot be booted: {first.problem}"
        yield machines.KERNEL_MODULES.found(what, version=first.version)
    else:
        yield machines.KERNEL_MISSING.found(problem or "there is no kernel for machines")
