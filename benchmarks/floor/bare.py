"""The floor of every start: our QEMU, kernel, command line, CPU and memory, and an init of ten instructions.

The rule: everything that firkin chooses for speed is in the floor too, so the ratio shows what firkin adds:
Python, walls, modules, disk, network, agent, container.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from firkin.machine import cpio
from firkin.machine.qemu.devices import Board, Memory
from firkin.machine.spec import MachineSpec
from firkin.machine.prepared import Prepared
from firkin.machine.start import prepare
from firkin.settings import Settings

_INIT_C = Path(__file__).with_name("init.c")


@dataclass(frozen=True, slots=True)
class Bare:
    """A command that boots the machine, writes a byte to stdout when init runs, and ends with status 0."""

    argv: tuple[str, ...]
    accelerator: str


@contextmanager
def floor(settings: Settings) -> Iterator[Bare]:
    """The bare machine with the settings' QEMU, kernel, accelerator and memory. Needs gcc.

    Raises what a boot raises, and CalledProcessError when gcc fails.
    """
    spec = MachineSpec(name="floor", cpus=settings.cpus, memory_bytes=settings.memory_bytes, network="none")
    prepared = asyncio.run(prepare(spec, settings))
    with TemporaryDirectory(prefix="fkfloor") as name:
        initramfs_path = _initramfs(Path(name))
        yield Bare(_argv(spec, prepared, initramfs_path), prepared.vmm.accelerator)


def _argv(spec: MachineSpec, prepared: Prepared, initramfs_path: Path) -> tuple[str, ...]:
    mib = -(-spec.memory_bytes // (1 << 20))
    board = Board(prepared.vmm.accelerator, spec.cpus, mib)
    # isa-debug-exit cannot end QEMU with 0: the shell turns its 1 into success.
    powered_off = ("/bin/sh", "-c", '"$@"; test $? -eq 1', "floor")
    return (
        *powered_off,
        *(prepared.vmm.qemu, *board.args(), *Memory(mib).args()),
        *("-kernel", str(prepared.cold.kernel_path), "-initrd", str(initramfs_path)),
        *("-append", prepared.cold.cmdline),
        *("-serial", "none", "-chardev", "stdio,id=out,signal=off"),
        *("-device", "isa-debugcon,iobase=0xe9,chardev=out"),
    )


def _initramfs(directory: Path) -> Path:
    binary = directory / "init"
    subprocess.run(["gcc", "-O2", "-static", "-o", binary, _INIT_C], check=True)
    path = directory / "floor.cpio"
    path.write_bytes(cpio.archive([cpio.file("init", binary.read_bytes(), 0o755)]))
    return path
