"""The parts of a QEMU command line, one frozen value each; `args()` is all that they do.

The rule: files and sockets come as descriptors that QEMU inherits, so a part says what it is, not where to
look. Wherever a file name is unavoidable it is /dev/fdset/N (QEMU duplicates our descriptor) or
/proc/self/fd/N.
"""

from __future__ import annotations

import json
from typing import Literal, Protocol

import msgspec

RAM = "ram"


class Part(Protocol):
    """One part of the command line."""

    def args(self) -> tuple[str, ...]: ...


class Board(msgspec.Struct, frozen=True):
    """The microvm machine: virtio-mmio, no PCI, one serial port, and an exit at the guest's word.

    `shared_memory` puts the guest's memory where a vhost-user daemon can map it.
    """

    accelerator: Literal["kvm", "tcg"]
    cpus: int
    memory_mib: int
    shared_memory: bool = False

    def args(self) -> tuple[str, ...]:
        memory = f"{self.memory_mib}M"
        # TCG runs `rep movsb` a byte at a time; without these flags the guest's kernel copies and clears
        # memory by words, which took an eighth of the time (320 MB of zeros: 0.75 s against 6.06).
        cpu = "host" if self.accelerator == "kvm" else "max,erms=off,fsrm=off"
        machine = "microvm" + (f",memory-backend={RAM}" if self.shared_memory else "")
        backend = f"memory-backend-memfd,id={RAM},size={memory},share=on"
        return (
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-machine", machine, "-accel", self.accelerator, "-cpu", cpu),
            *("-smp", str(self.cpus), "-m", memory),
            *(("-object", backend) if self.shared_memory else ()),
            # Without it virtio-mmio speaks the legacy protocol, on which virtiofs reads hang.
            *("-global", "virtio-mmio.force-legacy=false"),
            *("-device", "isa-debug-exit,iobase=0x501,iosize=2"),
        )


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
    """A virtio disk from descriptor sets. qcow2 has its raw `backing` given here: what its header names is
    ignored.
    """

    index: int
    format: Literal["raw", "qcow2"]
    fdset: int
    readonly: bool
    backing_fdset: int | None = None

    def args(self) -> tuple[str, ...]:
        node = f"disk{self.index}"
        blockdevs = []
        top: dict[str, object] = {
            "node-name": node,
            "driver": self.format,
            "file": _file(self.fdset, self.readonly),
        }
        top |= {"read-only": self.readonly, "discard": "unmap"}
        if self.format == "qcow2":
            top["backing"] = None
        if self.backing_fdset is not None:
            base = {"node-name": f"{node}-base", "driver": "raw", "read-only": True}
            blockdevs.append(base | {"file": _file(self.backing_fdset, True)})
            top["backing"] = base["node-name"]
        blockdevs.append(top)
        nodes = tuple(
            arg for each in blockdevs for arg in ("-blockdev", json.dumps(each, separators=(",", ":")))
        )
        return (*nodes, "-device", f"virtio-blk-device,drive={node}")


class NetworkCard(msgspec.Struct, frozen=True):
    """A virtio network card on a netdev; `netdev_args` comes from the network's mode."""

    netdev: str
    netdev_args: tuple[str, ...]

    def args(self) -> tuple[str, ...]:
        return (*self.netdev_args, "-device", f"virtio-net-device,netdev={self.netdev}")


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


def escaped(value: str) -> str:
    """`value` for QEMU's option syntax, where a comma ends it and two are one."""
    return value.replace(",", ",,")


def _file(fdset: int, readonly: bool) -> dict[str, object]:
    return {"driver": "file", "filename": f"/dev/fdset/{fdset}", "read-only": readonly, "discard": "unmap"}
