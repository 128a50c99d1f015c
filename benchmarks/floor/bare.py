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
from firkin.machine.modules import Module, load_order, read_module
from firkin.machine.prepared import Prepared
from firkin.machine.qemu.devices import Board, Memory
from firkin.machine.spec import MachineSpec
from firkin.machine.start import prepare
from firkin.settings import Settings

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Bare:
    """A command that boots the machine, writes a byte to stdout when init runs, and ends with status 0."""

    argv: tuple[str, ...]
    accelerator: str


@dataclass(frozen=True, slots=True)
class Parts:
    """What a bare machine is put together from."""

    prepared: Prepared
    cpus: int
    memory_mib: int

    @classmethod
    def of(cls, settings: Settings) -> Parts:
        """The settings' QEMU, kernel, accelerator, processors and memory. Raises what a boot raises."""
        spec = MachineSpec(
            name="floor", cpus=settings.cpus, memory_bytes=settings.memory_bytes, network="none"
        )
        return cls(asyncio.run(prepare(spec, settings)), spec.cpus, -(-spec.memory_bytes // (1 << 20)))

    def board(self, *, memory_path: Path | None = None, shared: bool = False) -> tuple[str, ...]:
        """QEMU and its board, with its own memory or that of a file."""
        vmm = self.prepared.vmm
        board = Board(vmm.accelerator, self.cpus, self.memory_mib)
        memory = Memory(self.memory_mib, shared, "" if memory_path is None else str(memory_path))
        return (vmm.qemu, *board.args(), *memory.args())

    def boot(self, directory: Path, init: str, wanted: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The kernel, and an initramfs in `directory` with the program of source file `init`, and modules."""
        cold = self.prepared.cold
        order = load_order(self.prepared.kernel.modules_dir, wanted) if wanted else ()
        initramfs_path = _initramfs(directory, _HERE / init, order)
        return (
            *("-kernel", str(cold.kernel_path), "-initrd", str(initramfs_path)),
            *("-append", cold.cmdline),
        )


@contextmanager
def floor(settings: Settings) -> Iterator[Bare]:
    """The bare machine with the settings' QEMU, kernel, accelerator and memory. Needs gcc.

    Raises what a boot raises, and CalledProcessError when gcc fails.
    """
    parts = Parts.of(settings)
    with TemporaryDirectory(prefix="fkfloor") as name:
        # isa-debug-exit cannot end QEMU with 0: the shell turns its 1 into success.
        powered_off = ("/bin/sh", "-c", '"$@"; test $? -eq 1', "floor")
        argv = (
            *powered_off,
            *(*parts.board(), *parts.boot(Path(name), "init.c")),
            *("-serial", "none", "-chardev", "stdio,id=out,signal=off"),
            *("-device", "isa-debugcon,iobase=0xe9,chardev=out"),
        )
        yield Bare(argv, parts.prepared.vmm.accelerator)


def _initramfs(directory: Path, source: Path, order: tuple[Module, ...]) -> Path:
    binary = directory / "init"
    subprocess.run(["gcc", "-O2", "-static", "-o", binary, source], check=True)
    path = directory / "floor.cpio"
    listed = "".join(f"{module.name}\n" for module in order).encode()
    modules = [cpio.file(f"modules/{module.name}.ko", read_module(module)) for module in order]
    held = [cpio.directory("modules"), *modules, cpio.file("modules.list", listed)] if order else []
    path.write_bytes(cpio.archive([cpio.file("init", binary.read_bytes(), 0o755), *held]))
    return path
