"""Shape: the machine that a container needs."""

from __future__ import annotations

from pathlib import Path

from firkin.container.spec import ContainerSpec
from firkin.engine.storage import as_disks
from firkin.machine.spec import Disk, MachineSpec, Share
from firkin.settings import Settings


def machine_spec(spec: ContainerSpec, disk: Disk, settings: Settings) -> MachineSpec:
    """The machine that `spec` needs."""
    return MachineSpec(
        name=spec.name,
        cpus=spec.cpus,
        memory_bytes=spec.memory_bytes,
        disks=(disk, *as_disks(spec, settings.paths)),
        shares=shares(spec),
        network=spec.network.mode,
        host_loopback=spec.network.host_loopback,
        cards=len(spec.network.private),
        ipv6=spec.network.ipv6,
        ports=spec.forwarded_ports,
        knobs=spec.knobs,
        boot_timeout_s=settings.boot_timeout_s,
    )


def shares(spec: ContainerSpec) -> tuple[Share, ...]:
    """One share of the machine for each directory or file of the host."""
    binds = [(bind.source, bind.readonly) for bind in spec.binds]
    volumes = [(volume.path, volume.readonly) for volume in spec.storage.directories]
    return tuple(
        Share(tag=share_tag(index), source=Path(source), readonly=readonly)
        for index, (source, readonly) in enumerate((*binds, *volumes))
    )


def share_tag(index: int) -> str:
    """What the guest calls share number `index`: those of -v HOST:DIR first, then volumes' directories."""
    return f"bind{index}"
