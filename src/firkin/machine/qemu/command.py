"""A MachineSpec as QEMU's argv: a plan that can be compared and printed before anything runs."""

from __future__ import annotations

from typing import Literal

import msgspec

from firkin.machine.qemu.devices import (
    AgentPort,
    BlockDevice,
    Board,
    Console,
    DirectBoot,
    FdSet,
    Identity,
    Monitor,
    NetworkCard,
    Part,
    Sandbox,
    SharedDirectory,
)
from firkin.machine.spec import MachineSpec
from firkin.network.user import NETDEV, netdev_args

Accelerator = Literal["kvm", "tcg"]
_MIB = 1 << 20
_CONSOLE_FDSET = 1
_FIRST_DISK_FDSET = 2


class DiskFds(msgspec.Struct, frozen=True):
    """The open files of one disk, in the modes that QEMU may want, and of the image under it."""

    fds: tuple[int, ...]
    backing_fd: int | None = None


class Inherited(msgspec.Struct, frozen=True):
    """The descriptors that QEMU is started with."""

    kernel_fd: int
    initramfs_fd: int
    console_fds: tuple[int, ...]
    agent_fd: int
    qmp_fd: int
    disks: tuple[DiskFds, ...] = ()
    shares: tuple[int, ...] = ()
    alive_fd: int | None = None

    def all(self) -> tuple[int, ...]:
        disks = [fd for disk in self.disks for fd in (*disk.fds, disk.backing_fd)]
        fds = (
            self.kernel_fd,
            self.initramfs_fd,
            *self.console_fds,
            self.agent_fd,
            self.qmp_fd,
            *disks,
            *self.shares,
        )
        return tuple(fd for fd in (*fds, self.alive_fd) if fd is not None)


def command(
    qemu: str, spec: MachineSpec, inherited: Inherited, accelerator: Accelerator, cmdline: str
) -> list[str]:
    """QEMU's whole argv. The ports of `spec` have their host_port."""
    parts = devices(spec, inherited, accelerator, cmdline)
    return [qemu, *(arg for part in parts for arg in part.args())]


def devices(
    spec: MachineSpec, inherited: Inherited, accelerator: Accelerator, cmdline: str
) -> tuple[Part, ...]:
    """The parts of the machine, in the order of the guest's device names."""
    memory_mib = -(-spec.memory_bytes // _MIB)
    parts: list[Part] = [
        Identity(spec.name),
        Sandbox(),
        Board(accelerator, spec.cpus, memory_mib, shared_memory=bool(spec.shares)),
        FdSet(_CONSOLE_FDSET, inherited.console_fds),
        Console(_CONSOLE_FDSET),
        DirectBoot(inherited.kernel_fd, inherited.initramfs_fd, cmdline),
        Monitor(inherited.qmp_fd),
        AgentPort(inherited.agent_fd),
    ]
    fdset = _FIRST_DISK_FDSET
    for index, (disk, fds) in enumerate(zip(spec.disks, inherited.disks, strict=True)):
        parts.append(FdSet(fdset, fds.fds))
        backing = None if fds.backing_fd is None else fdset + 1
        if fds.backing_fd is not None:
            parts.append(FdSet(fdset + 1, (fds.backing_fd,)))
        parts.append(BlockDevice(index, disk.format, fdset, disk.readonly, backing))
        fdset += 2
    if spec.network == "user":
        parts.append(NetworkCard(NETDEV, netdev_args(spec.ports)))
    for index, (share, socket_fd) in enumerate(zip(spec.shares, inherited.shares, strict=True)):
        parts.append(SharedDirectory(index, share.tag, socket_fd))
    return tuple(parts)


def kernel_cmdline(accelerator: Accelerator, *, tsc_khz: int = 0) -> str:
    """The kernel's command line. The reason and the gain of each word stand in docs/design/boot.md."""
    words = [
        "quiet",
        "console=ttyS0",
        "panic=-1",
        "reboot=t",
        "cryptomgr.notests=1",
        "init_on_alloc=0",
        "pci=off",
    ]
    if accelerator == "tcg":
        # microvm has neither HPET nor PM timer: calibrating the TSC against the PIT hangs one boot in ten
        # under TCG.
        words += ["tsc=reliable", "no_timer_check", "noreplace-smp"]
        words += [f"tsc_early_khz={tsc_khz}"] if tsc_khz else []
    return " ".join(words)
