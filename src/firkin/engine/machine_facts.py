"""What `firkin inspect` says of a container's machine beyond its size. Docker has no names for it."""

from __future__ import annotations

from typing import Any

from firkin.container.spec import ContainerSpec


def machine_config(spec: ContainerSpec) -> dict[str, Any]:
    """The part of HostConfig that is about the machine."""
    knobs = spec.knobs
    return {
        "Kernel": knobs.kernel,
        "Initramfs": knobs.initramfs,
        "KernelArgs": list(knobs.kernel_args),
        "BootLog": knobs.boot_log,
        "Nested": knobs.nested,
        "HugePages": knobs.hugepages,
        "Entropy": knobs.entropy,
        "Balloon": knobs.balloon,
        "Translated": knobs.translated,
    }
