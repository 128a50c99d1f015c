"""A MachineSpec becomes a Machine: the VMM, its kernel and initramfs, its disks, its walls.

Names are loaded when they are used, so that whoever needs only the values of machine.spec pays for nothing
else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firkin.machine.kernel import Kernel, choose_kernel, kernels
    from firkin.machine.qcow2 import create_overlay
    from firkin.machine.qemu.exit import VmmExit
    from firkin.machine.qemu.machine import Machine
    from firkin.machine.start import adopt, boot

__all__ = ["Kernel", "Machine", "VmmExit", "adopt", "boot", "choose_kernel", "create_overlay", "kernels"]

_HOMES = {
    "boot": "start",
    "adopt": "start",
    "Kernel": "kernel",
    "choose_kernel": "kernel",
    "kernels": "kernel",
    "create_overlay": "qcow2",
    "VmmExit": "qemu.exit",
    "Machine": "qemu.machine",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
