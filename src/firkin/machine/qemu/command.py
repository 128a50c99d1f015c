"""A MachineSpec as QEMU's argv: a plan that can be compared and printed before anything runs."""

from __future__ import annotations

from typing import Literal

import msgspec

from firkin.linux.seccomp import STDIN_PATH
from firkin.machine.knobs import PLAIN, Knobs
from firkin.machine.origin import Origin
from firkin.machine.qemu.devices import (
    AgentPort,
    Balloon,
    BlockDevice,
    Board,
    Console,
    DirectBoot,
    Entropy,
    FdSet,
    Identity,
    Incoming,
    Memory,
    Monitor,
    NetworkCard,
    Part,
    Sandbox,
    SharedDirectory,
    listening_netdev,
)
from firkin.machine.spec import MachineSpec
from firkin.network.user import NETDEV, netdev_args

Accelerator = Literal["kvm", "tcg"]
_MIB = 1 << 20
_CONSOLE_FDSET = 1
FIRST_DISK_FDSET = 2


class DiskFds(msgspec.Struct, frozen=True):
    """The open files of one disk: the top, the layers under it, and the image under them."""

    top: int
    layers: tuple[int, ...] = ()
    base: int | None = None


class Inherited(msgspec.Struct, frozen=True):
    """The descriptors that QEMU is started with, beside its standard streams."""

    kernel_fd: int
    console_fds: tuple[int, ...]
    agent_fd: int
    qmp_fd: int
    initramfs_fd: int | None = None
    """None: nothing is booted, `kernel_fd` is the stub."""
    memory_fd: int | None = None
    """To be its standard input."""
    state_fd: int | None = None
    """Where a restored machine's state comes from."""
    disks: tuple[DiskFds, ...] = ()
    shares: tuple[int, ...] = ()
    cards: tuple[int, ...] = ()
    """Listening sockets of its cards on private networks."""
    alive_fd: int | None = None

    def all(self) -> tuple[int, ...]:
        disks = [fd for disk in self.disks for fd in (disk.top, *disk.layers, disk.base)]
        fds = (
            self.kernel_fd,
            self.initramfs_fd,
            *self.console_fds,
            self.agent_fd,
            self.qmp_fd,
            self.state_fd,
            *disks,
            *self.shares,
            *self.cards,
            self.alive_fd,
        )
        return tuple(fd for fd in fds if fd is not None)


def command(
    qemu: str, spec: MachineSpec, inherited: Inherited, accelerator: Accelerator, origin: Origin
) -> list[str]:
    """QEMU's whole argv. The ports of `spec` have their host_port."""
    parts = devices(spec, inherited, accelerator, origin)
    return [qemu, *(arg for part in parts for arg in part.args())]


def devices(
    spec: MachineSpec, inherited: Inherited, accelerator: Accelerator, origin: Origin
) -> tuple[Part, ...]:
    """The parts of the machine, in the order of the guest's device names."""
    mib = -(-spec.memory_bytes // _MIB)
    parts: list[Part] = [
        Identity(spec.name),
        Sandbox(),
        Board(accelerator, spec.cpus, mib, spec.knobs.nested),
        _memory(mib, spec, inherited, origin),
        FdSet(_CONSOLE_FDSET, inherited.console_fds),
        Console(_CONSOLE_FDSET),
        _beginning(inherited, origin),
        Monitor(inherited.qmp_fd),
        AgentPort(inherited.agent_fd),
    ]
    fdset = FIRST_DISK_FDSET
    for index, (disk, fds) in enumerate(zip(spec.disks, inherited.disks, strict=True)):
        files = [fds.top, *fds.layers, *([] if fds.base is None else [fds.base])]
        sets = range(fdset, fdset + len(files))
        parts += [FdSet(number, (fd,)) for number, fd in zip(sets, files, strict=True)]
        layers = tuple(sets[1 : 1 + len(fds.layers)])
        base = None if fds.base is None else sets[-1]
        parts.append(
            BlockDevice(
                index, disk.format, fdset, disk.readonly, layers, base, disk.size_bytes, disk.on_device
            )
        )
        fdset = sets.stop
    if spec.network == "user":
        leading = netdev_args(spec.ports, host_loopback=spec.host_loopback, ipv6=spec.ipv6)
        parts.append(NetworkCard(NETDEV, () if origin.peerless else leading))
    for number in range(1, spec.cards + 1):
        netdev = f"card{number}"
        leading = () if origin.peerless else listening_netdev(netdev, inherited.cards[number - 1])
        parts.append(NetworkCard(netdev, leading, number))
    for index, (share, socket_fd) in enumerate(zip(spec.shares, inherited.shares, strict=True)):
        parts.append(SharedDirectory(index, share.tag, socket_fd))
    # Behind all others, which keep their places in the guest.
    parts += [Entropy()] if spec.knobs.entropy else []
    parts += [Balloon()] if spec.knobs.balloon else []
    return tuple(parts)


def _memory(mib: int, spec: MachineSpec, inherited: Inherited, origin: Origin) -> Memory:
    if inherited.memory_fd is None:
        return Memory(mib, shared=bool(spec.shares), huge=spec.knobs.hugepages)
    return Memory(mib, shared=origin.keeps_memory, path=STDIN_PATH)


def _beginning(inherited: Inherited, origin: Origin) -> Part:
    if inherited.initramfs_fd is None:
        return Incoming(inherited.kernel_fd, paused=origin.keeps_memory)
    return DirectBoot(inherited.kernel_fd, inherited.initramfs_fd, origin.cmdline)


def kernel_cmdline(
    accelerator: Accelerator, knobs: Knobs = PLAIN, *, tsc_khz: int = 0, cards: int = 1
) -> str:
    """The kernel's command line. The reason and the gain of each word stand in docs/design/boot.md. Its agent
    gives the first `cards` cards their driver.
    """
    words = [
        *(() if knobs.boot_log else ("quiet",)),
        "console=ttyS0",
        "panic=-1",
        "reboot=t",
        "cryptomgr.notests=1",
        "init_on_alloc=0",
        "pci=off",
        "lsm=lockdown,landlock,yama,integrity,apparmor,selinux",
    ]
    if accelerator == "tcg":
        # microvm has neither HPET nor PM timer: calibrating the TSC against the PIT hangs one boot in ten
        # under TCG.
        words += ["tsc=reliable", "no_timer_check", "noreplace-smp"]
        words += [f"tsc_early_khz={tsc_khz}"] if tsc_khz else []
    told = ("--", f"cards={cards}") if cards > 1 else ()
    return " ".join((*words, *knobs.kernel_args, *told))
