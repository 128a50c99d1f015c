"""What a machine is made of: frozen values, validated before anything starts. No QEMU words here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """A block device of the guest, /dev/vda, vdb, ... in declared order."""

    path: Path
    format: Literal["raw", "qcow2"]
    backing: Path | None = None
    """qcow2: the raw image under it, opened read-only."""
    readonly: bool = False


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A host directory (or one file of it) that the guest mounts by `tag` through virtiofs."""

    tag: str
    source: Path
    readonly: bool = False


class PublishedPort(msgspec.Struct, frozen=True, kw_only=True):
    """`host_ip:host_port` on the host reaches `guest_port` in the machine. host_port 0 is chosen at start."""

    guest_port: int
    host_port: int
    host_ip: str = "0.0.0.0"
    protocol: Literal["tcp", "udp"] = "tcp"


NetworkMode = Literal["user", "none"]


class MachineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One machine. `name` appears in errors and in the process list."""

    name: str
    cpus: int = 1
    memory_bytes: int = 256 << 20
    disks: tuple[Disk, ...] = ()
    shares: tuple[Share, ...] = ()
    network: NetworkMode = "user"
    ports: tuple[PublishedPort, ...] = ()
    boot_timeout_s: float = 60.0
