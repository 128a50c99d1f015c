"""Kernels as `firkin kernel list` and `firkin kernel install` show and fetch them."""

from __future__ import annotations

from firkin.machine.kernel import Kernel, kernels
from firkin.settings import Settings


def list_kernels(settings: Settings) -> list[Kernel]:
    """Every kernel that machines could run, the used one first. Raises UsageError, HostUnsupported."""
    return kernels(settings)


async def install_kernel(settings: Settings) -> Kernel:
    """Fetch the distribution's kernel for virtual machines, verified, without root: see
    machine.debian.install.
    """
    from firkin.machine.debian.install import install_kernel as install

    return await install(settings)
