"""The parts of a QEMU command line, one frozen value each; `args()` is all that they do.

The rule: files and sockets come as descriptors that QEMU inherits, so a part says what it is, not where to
look. Wherever a file name is unavoidable it is /dev/fdset/N (QEMU duplicates our descriptor) or
/proc/self/fd/N.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

RAM = "ram"
CPU_MODELS = {
    # A guest that may run machines of its own reaches much more of the host's KVM.
    "kvm": "host,vmx=off,svm=off",
    # TCG runs `rep movsb` a byte at a time; without these flags the guest's kernel copies and clears memory
    # by words, which took an eighth of the time (320 MB of zeros: 0.75 s against 6.06).
    "tcg": "max,erms=off,fsrm=off",
}


def cpu_model(accelerator: Literal["kvm", "tcg"], *, nested: bool = False) -> str:
    """The processor that a guest sees; `nested` where it may run machines of its own."""
    return "host" if nested and accelerator == "kvm" else CPU_MODELS[accelerator]


class Part(Protocol):
    """One part of the command line."""

    def args(self) -> tuple[str, ...]: ...


class Board(msgspec.Struct, frozen=True):
    """The microvm machine: virtio-mmio, no PCI, one serial port, and an exit at the guest's word."""

    accelerator: Literal["kvm", "tcg"]
    cpus: int
    memory_mib: int
    nested: bool = False

    def args(self) -> tuple[str, ...]:
        return (
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-machine", f"microvm,memory-backend={RAM},suppress-vmdesc=on", "-accel", self.accelerator),
            *("-cpu", cpu_model(self.accelerator, nested=self.nested)),
            *("-smp", str(self.cpus), "-m", f"{self.memory_mib}M"),
            # Without it virtio-mmio speaks the legacy protocol, on which virtiofs reads hang.
            *("-global", "virtio-mmio.force-legacy=false"),
            *("-device", "isa-debug-exit,iobase=0x501,iosize=2"),
        )


class Memory(msgspec.Struct, frozen=True):
    """The guest's memory: QEMU's own; where a vhost-user daemon can map it too (`shared`); or that of the
    file at `path`, which takes what the guest writes only where it is `shared`.
    """

    mib: int
    shared: bool = False
    path: str = ""
    huge: bool = False
    """Of pages of 2 MiB, all of them taken at once, so that none is missing later."""

    def args(self) -> tuple[str, ...]:
        sharing = f"share={'on' if self.shared else 'off'}"
        if self.path:
            # Where addresses and offsets agree, the kernel maps large pages of the file at one fault.
            backend = f"memory-backend-file,mem-path={self.path},{sharing},align=2M"
        elif self.huge:
            backend = f"memory-backend-memfd,hugetlb=on,hugetlbsize=2M,prealloc=on,{sharing}"
        else:
            backend = f"memory-backend-{'memfd' if self.shared else 'ram'},{sharing}"
        return "-object", f"{backend},id={RAM},size={self.mib}M"


class Incoming(msgspec.Struct, frozen=True):
    """A machine that waits to be told over QMP what to become. `stub_fd` stands for a kernel: QEMU wants one,
    and what it loads is overwritten. With `paused` it does not run then.
    """

    stub_fd: int
    paused: bool = False

    def args(self) -> tuple[str, ...]:
        # What a paused machine saves again says nothing of its being paused, so that it runs where it starts.
        hold = ("-S", "-global", "migration.store-global-state=off") if self.paused else ()
        return "-kernel", f"/proc/self/fd/{self.stub_fd}", "-incoming", "defer", *hold


class Identity(msgspec.Struct, frozen=True):
    """The machine's name, in the process list and for whoever adopts it."""

    name: str

    def args(self) -> tuple[str, ...]:
        return "-name", f"guest={escaped(self.name)}"


class Sandbox(msgspec.Struct, frozen=True):
    """QEMU's seccomp filter with all its denials: no exec, no fork, no change of uid or scheduling."""

    def args(self) -> tuple[str, ...]:
        denials = ("obsolete", "elevateprivileges", "spawn", "resourcecontrol")
        return "-sandbox", ",".join(("on", *(f"{denial}=deny" for denial in denials)))


class DirectBoot(msgspec.Struct, frozen=True):
    """A kernel (ELF with a PVH entry, or bzImage), its initramfs and command line."""

    kernel_fd: int
    initramfs_fd: int
    cmdline: str

    def args(self) -> tuple[str, ...]:
        kernel, initramfs = (f"/proc/self/fd/{fd}" for fd in (self.kernel_fd, self.initramfs_fd))
        return "-kernel", kernel, "-initrd", initramfs, "-append", self.cmdline


class Console(msgspec.Struct, frozen=True):
    """The serial port, written to the pipe of descriptor set `fdset` (0 would mean none)."""

    fdset: int

    def args(self) -> tuple[str, ...]:
        return (
            "-chardev",
            f"file,id=console,path=/dev/fdset/{self.fdset},append=on",
            "-serial",
            "chardev:console",
        )


class FdSet(msgspec.Struct, frozen=True):
    """Descriptors that QEMU opens as /dev/fdset/N: the one whose access mode fits is duplicated."""

    fdset: int
    fds: tuple[int, ...]

    def args(self) -> tuple[str, ...]:
        return tuple(arg for fd in self.fds for arg in ("-add-fd", f"fd={fd},set={self.fdset}"))


class Monitor(msgspec.Struct, frozen=True):
    """QMP on an already listening socket."""

    socket_fd: int

    def args(self) -> tuple[str, ...]:
        return (
            "-chardev",
            f"socket,id=qmp,fd={self.socket_fd},server=on,wait=off",
            "-mon",
            "chardev=qmp,mode=control",
        )


class AgentPort(msgspec.Struct, frozen=True):
    """The virtio-serial port that the guest agent opens, on an already listening socket."""

    socket_fd: int

    def args(self) -> tuple[str, ...]:
        return (
            *("-device", "virtio-serial-device,max_ports=2"),
            *("-chardev", f"socket,id=agent,fd={self.socket_fd},server=on,wait=off"),
            *("-device", "virtserialport,chardev=agent,name=agent"),
        )


class BlockDevice(msgspec.Struct, frozen=True):
    """A virtio disk from descriptor sets: under its top lie the `layers` (qcow2) and the `base` (raw), all of
    them read-only. What the headers of qcow2 files name is ignored.
    """

    index: int
    format: Literal["raw", "qcow2", "null"]
    fdset: int
    readonly: bool
    layers: tuple[int, ...] = ()
    base: int | None = None
    size_bytes: int = 0
    on_device: bool = False
    """Whether the raw file, top or base, is a block device."""

    def args(self) -> tuple[str, ...]:
        top = disk_node(self.index)
        nodes: list[dict[str, object]] = []
        below = None
        if self.base is not None:
            below = f"{top}-base"
            file = _file(self.base, True, device=self.on_device)
            nodes.append({"node-name": below, "driver": "raw", "read-only": True, "file": file})
        for number, fdset in enumerate(reversed(self.layers)):
            node = qcow2_node(f"{top}-layer{number}", fdset, below, readonly=True)
            nodes.append(node)
            below = f"{top}-layer{number}"
        if self.format == "qcow2":
            nodes.append(qcow2_node(top, self.fdset, below, readonly=self.readonly))
        elif self.format == "null":
            nodes.append(
                {"node-name": top, "driver": "null-co", "size": self.size_bytes, "read-zeroes": True}
            )
        else:
            file = _file(self.fdset, self.readonly, device=self.on_device)
            raw = {"driver": "raw", "file": file, "read-only": self.readonly}
            nodes.append({"node-name": top, **raw, "discard": "unmap"})
        told = tuple(arg for node in nodes for arg in ("-blockdev", msgspec.json.encode(node).decode()))
        return (*told, "-device", f"virtio-blk-device,drive={top}")


def disk_node(index: int) -> str:
    """The block node on top of disk `index`, as the machine starts."""
    return f"disk{index}"


def qcow2_node(name: str, fdset: int, backing: str | None, *, readonly: bool) -> dict[str, object]:
    """A qcow2 file as a block node, over the node `backing` or over nothing."""
    file = _file(fdset, readonly)
    node = {"node-name": name, "driver": "qcow2", "file": file, "read-only": readonly, "discard": "unmap"}
    return node | {"backing": backing}


class NetworkCard(msgspec.Struct, frozen=True):
    """A virtio network card on a netdev; `netdev_args` comes from the network's mode. Without any, the card
    leads nowhere until a fork is given another; `number` is its own nowhere.
    """

    netdev: str
    netdev_args: tuple[str, ...]
    number: int = 0

    def args(self) -> tuple[str, ...]:
        nowhere = ("-netdev", f"hubport,id={self.netdev},hubid={self.number}")
        return (
            *(self.netdev_args or nowhere),
            "-device",
            f"virtio-net-device,netdev={self.netdev},guest_announce=off",
        )


def listening_netdev(netdev: str, socket_fd: int) -> tuple[str, ...]:
    """QEMU's `-netdev` for frames over the stream of whoever connects to a listening socket: one at a time,
    and the next once that one has gone.
    """
    return "-netdev", f"stream,id={netdev},server=on,addr.type=fd,addr.str={socket_fd}"


class SharedDirectory(msgspec.Struct, frozen=True):
    """A virtiofs device whose daemon is at the other end of a connected socket."""

    index: int
    tag: str
    socket_fd: int

    def args(self) -> tuple[str, ...]:
        chardev = f"share{self.index}"
        return (
            *("-chardev", f"socket,id={chardev},fd={self.socket_fd}"),
            *("-device", f"vhost-user-fs-device,chardev={chardev},tag={escaped(self.tag)}"),
        )


class Entropy(msgspec.Struct, frozen=True):
    """A virtio random number generator, which QEMU feeds from getrandom(2)."""

    def args(self) -> tuple[str, ...]:
        return "-object", "rng-builtin,id=entropy", "-device", "virtio-rng-device,rng=entropy"


class Balloon(msgspec.Struct, frozen=True):
    """A virtio balloon. The guest tells which pages it has freed, and QEMU gives them back; it lets go of
    what it holds before it runs out of memory.
    """

    def args(self) -> tuple[str, ...]:
        return "-device", "virtio-balloon-device,id=balloon,free-page-reporting=on,deflate-on-oom=on"


def escaped(value: str) -> str:
    """`value` for QEMU's option syntax, where a comma ends it and two are one."""
    return value.replace(",", ",,")


def _file(fdset: int, readonly: bool, *, device: bool = False) -> dict[str, object]:
    driver = "host_device" if device else "file"
    return {"driver": driver, "filename": f"/dev/fdset/{fdset}", "read-only": readonly, "discard": "unmap"}
