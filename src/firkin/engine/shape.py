"""Shape: the machine that a container needs."""

from __future__ import annotations

from pathlib import Path

import msgspec

from firkin.container.leases import MOST_CARDS
from firkin.container.spec import ContainerSpec
from firkin.engine.storage import as_disks
from firkin.machine.spec import SPARE_CARDS, Disk, MachineSpec, Share
from firkin.settings import Settings


def machine_spec(
    spec: ContainerSpec, disk: Disk, settings: Settings, *, cards: int | None = None
) -> MachineSpec:
    """The machine that `spec` needs: one that starts anew, or one that was started before, with that many
    `cards` for private networks.
    """
    machine = MachineSpec(
        name=spec.name,
        cpus=spec.cpus,
        memory_bytes=spec.memory_bytes,
        disks=(disk, *as_disks(spec, settings.paths)),
        shares=shares(spec),
        network=spec.network.mode,
        host_loopback=spec.network.host_loopback,
        cards=spec.network.most_used,
        ready=spec.network.first_free,
        ipv6=spec.network.ipv6,
        ports=spec.forwarded_ports,
        knobs=spec.knobs,
        boot_timeout_s=settings.boot_timeout_s,
    )
    if cards is not None and machine.cards <= cards <= MOST_CARDS:
        return msgspec.structs.replace(machine, cards=cards, ready=0)
    if spec.pod is not None or not spec.network.interfaces:
        return machine  # it comes to no network while it runs
    spare = len(spec.network.private) + SPARE_CARDS - machine.cards
    room = min(machine.free_places, MOST_CARDS - len(spec.network.interfaces))
    return msgspec.structs.replace(machine, cards=machine.cards + max(0, min(spare, room)))


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
