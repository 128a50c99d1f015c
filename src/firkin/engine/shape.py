"""Shape: the machine that a container needs."""

from __future__ import annotations

from pathlib import Path

from firkin.container.spec import ContainerSpec
from firkin.machine.spec import Disk, MachineSpec, Share
from firkin.settings import Settings


def machine_spec(spec: ContainerSpec, disk: Disk, settings: Settings) -> MachineSpec:
    """The machine that `spec` needs."""
    return MachineSpec(
        name=spec.name,
        cpus=spec.cpus,
        memory_bytes=spec.memory_bytes,
        disks=(disk,),
        shares=shares(spec),
        network=spec.network.mode,
        host_loopback=spec.network.host_loopback,
        ports=spec.ports,
        boot_timeout_s=settings.boot_timeout_s,
    )


def shares(spec: ContainerSpec) -> tuple[Share, ...]:
    """One share of the machine for each -v."""
    return tuple(
        Share(tag=share_tag(index), source=Path(bind.source), readonly=bind.readonly)
        for index, bind in enumerate(spec.binds)
    )


def share_tag(index: int) -> str:
    """What the guest calls the share of -v number `index`."""
    return f"bind{index}"
