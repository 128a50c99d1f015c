"""Which kernel a machine runs: the user's choice, else one that firkin installed, else the distribution's.

The rule: a kernel is only offered together with the modules of its own version.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from firkin.errors import HostUnsupported, UsageError
from firkin.settings import Settings

Source = Literal["setting", "installed", "distribution"]
_DIGITS = re.compile(r"(\d+)")
_BOOT = Path("/boot")
_MODULES = (Path("/lib/modules"), Path("/usr/lib/modules"))


class Kernel(msgspec.Struct, frozen=True):
    """A bootable kernel image, its version (uname -r) and the directory that holds modules.dep.

    `problem` is empty for a usable one, else says in one line why it cannot be used.
    """

    path: Path
    version: str
    modules_dir: Path
    source: Source
    problem: str = ""


def choose_kernel(settings: Settings) -> Kernel:
    """The kernel to boot. Raises HostUnsupported where there is none, UsageError for a bad setting."""
    if settings.kernel:
        return _explicit(settings)
    found = kernels(settings)
    for kernel in found:
        if not kernel.problem:
            return kernel
    from firkin.faults.machines import KERNEL_MISSING

    problems = "".join(f"; {kernel.path}: {kernel.problem}" for kernel in found)
    raise HostUnsupported(
        f"there is no kernel for the machine{problems}",
        hint=KERNEL_MISSING.hint(),
    )


def kernels(settings: Settings) -> list[Kernel]:
    """Every kernel here, the one that would be chosen first; the unusable ones stand last, with the reason.

    Installed ones come before the distribution's; among each, cloud kernels first (they are built for
    machines: virtio's file systems inside, half as many drivers to start), then the newest.
    """
    found = [_explicit(settings)] if settings.kernel else []
    found += sorted(_installed(settings.paths.kernels_dir), key=_preference, reverse=True)
    found += sorted(_distribution(), key=_preference, reverse=True)
    return sorted(found, key=lambda kernel: bool(kernel.problem))


def _explicit(settings: Settings) -> Kernel:
    from firkin.machine import vmlinux

    path = Path(settings.kernel)
    try:
        with path.open("rb") as image:
            head = image.read(vmlinux.HEADER_BYTES)
            version = vmlinux.version_of(head) or vmlinux.version_of(
                head + image.read(vmlinux.MAX_IMAGE_BYTES)
            )
    except OSError as error:
        raise UsageError(
            f"cannot read kernel {path}: {error.strerror}", hint="mend the setting `kernel`, or --kernel"
        ) from error
    if not version:
        raise UsageError(f"{path} is not a Linux kernel", hint="give a bzImage or a vmlinux")
    beside = path.parent / "modules"
    for modules_dir in (beside, *(root / version for root in (settings.paths.kernels_dir, *_MODULES))):
        if (modules_dir / "modules.dep").is_file():
            return Kernel(path, version, modules_dir, "setting")
    from firkin.faults.machines import KERNEL_MODULES

    raise HostUnsupported(
        f"kernel {path} is version {version}, and its modules are not in /lib/modules/{version}",
        hint=f"install its modules there, or put them into {beside}; {KERNEL_MODULES.more}",
    )


def _installed(kernels_dir: Path) -> Iterator[Kernel]:
    for version in _names(kernels_dir):
        home = kernels_dir / version
        if not version.startswith("."):
            yield _checked(Kernel(home / "vmlinuz", version, home / "modules", "installed"))


def _distribution() -> Iterator[Kernel]:
    for name in _names(_BOOT):
        version = name.removeprefix("vmlinuz-")
        if version != name:
            modules = next(
                (root / version for root in _MODULES if (root / version).is_dir()), _MODULES[0] / version
            )
            yield _checked(Kernel(_BOOT / name, version, modules, "distribution"))


def _checked(kernel: Kernel) -> Kernel:
    problem = ""
    if not os.access(kernel.path, os.R_OK):
        problem = "not readable by this user" if kernel.path.exists() else "missing"
    elif not os.access(kernel.modules_dir / "modules.dep", os.R_OK):
        problem = f"its modules are not in {kernel.modules_dir}"
    return Kernel(kernel.path, kernel.version, kernel.modules_dir, kernel.source, problem)


def _preference(kernel: Kernel) -> tuple[bool, list[int]]:
    return "cloud" in kernel.version, [int(number) for number in _DIGITS.findall(kernel.version)]


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
