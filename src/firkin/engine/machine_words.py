"""The words for a container's machine beyond its size: Knobs from them.

The rule: what is given is refused here where it could never be, so before an image is pulled; what depends on
the host at the time is looked at again when the machine starts (machine.knob_checks).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypedDict

from firkin.engine.lists import listed
from firkin.engine.options import RunOptions
from firkin.errors import UsageError
from firkin.machine.knobs import Knobs, check_kernel_args


class MachineWords(TypedDict, total=False):
    """What may be said of the machine of a container, beyond its size."""

    kernel: str | os.PathLike[str]
    initramfs: str | os.PathLike[str]
    kernel_args: Iterable[str]
    boot_log: str | os.PathLike[str]
    nested: bool
    hugepages: bool
    entropy: bool
    balloon: bool


def machine_knobs(words: MachineWords) -> Knobs:
    """What `words` ask for. Raises UsageError."""
    args = listed("kernel_args", words.get("kernel_args", ()))
    check_kernel_args(args)
    log = os.fspath(words.get("boot_log", ""))
    return Knobs(
        kernel=_readable("kernel", words.get("kernel", "")),
        initramfs=_readable("initramfs", words.get("initramfs", "")),
        kernel_args=args,
        boot_log=log if log in ("", "-") else os.path.abspath(log),
        nested=words.get("nested", False),
        hugepages=words.get("hugepages", False),
        entropy=words.get("entropy", False),
        balloon=words.get("balloon", False),
    )


def check_machine(options: RunOptions) -> None:
    """Refuse what no machine can be told, or not together. Raises UsageError, HostUnsupported."""
    knobs = options.knobs
    if knobs == Knobs():
        return
    from firkin.machine import knob_checks

    if knobs.initramfs:
        knob_checks.check_initramfs(knobs.initramfs, options.memory_bytes)
    if knobs.boot_log:
        knob_checks.check_boot_log(knobs.boot_log)
    if knobs.hugepages and options.memory_bytes is not None:
        knob_checks.check_whole_pages(options.memory_bytes)
    if knobs.hugepages and knobs.balloon:
        raise UsageError(
            "balloon: huge pages are taken as a whole, and none goes back to the host",
            hint="leave out --hugepages or --balloon",
        )
    if knobs.nested:
        knob_checks.nested_module()


def check_owned(options: RunOptions) -> None:
    """Refuse what is only of a container that belongs to whoever runs it. Raises UsageError."""
    if options.knobs.boot_log == "-":
        raise UsageError(
            "boot_log: - is for a container in the foreground, and nobody reads what the supervisor says",
            hint="name a file",
        )


def _readable(field: str, said: str | os.PathLike[str]) -> str:
    path = os.fspath(said)
    if not path:
        return ""
    path = os.path.abspath(path)
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        raise UsageError(f"{field}: {path} is not a file that you can read", hint="mend the path")
    return path
