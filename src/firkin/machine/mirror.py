"""The mirror: a second VMM that receives a running machine into files, and never runs it.

The rule: it stands behind the walls of every VMM, reads no disk and reaches no network; what it says when it
ends is what a failed save is told by.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from firkin.aio.finish import finish
from firkin.errors import FirkinError, MachineError, StorageFull
from firkin.machine.launch import Vmm, launch
from firkin.machine.origin import Mirror
from firkin.machine.qemu import exit as exits
from firkin.machine.qemu.exit import VmmExit
from firkin.machine.qemu.machine import Machine
from firkin.machine.saved import MEMORY, storage_full
from firkin.machine.spec import Disk, MachineSpec
from firkin.machine.stub import stub_path
from firkin.settings import Settings

_DYING_S = 1.0


@asynccontextmanager
async def mirror(
    machine: Machine, spec: MachineSpec, settings: Settings, dir: Path
) -> AsyncIterator[Machine]:
    """A VMM that can receive `machine`, which is of `spec`; its memory is `dir`/memory. Gone at the end of
    the block.

    An error in the block that comes from the end of one of them is told as that: StorageFull, MachineError,
    MachineDied.
    """
    vmm = Vmm(shutil.which(settings.qemu) or settings.qemu, machine.accelerator)
    with open(dir / MEMORY, "xb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.truncate(spec.memory_bytes)
    origin = Mirror(stub_path(settings.paths.cache_dir), dir / MEMORY)
    with TemporaryDirectory(prefix="mirror-", dir=machine.run_dir) as name:
        run_dir = Path(name)
        twin = Machine(launch(_twin(spec), vmm, origin, settings, run_dir, run_dir, "owner", None))
        try:
            yield twin
        except FirkinError as error:
            await _first_end(machine, twin)
            if machine.ended is not None:
                raise exits.death(machine.name, machine.ended) from error
            if twin.ended is not None:
                raise _failure(machine.name, twin.ended, dir) from error
            raise
        finally:
            await finish(twin.stop())


def _twin(spec: MachineSpec) -> MachineSpec:
    """The same devices, with nothing behind them."""
    nothing = Disk(path=Path(os.devnull), format="null", size_bytes=1 << 30)
    disks = (nothing,) * len(spec.disks)
    return msgspec.structs.replace(spec, name=f"{spec.name}-mirror", disks=disks, ports=())


async def _first_end(*machines: Machine) -> None:
    """Wait a moment for the end of one that others have felt already."""
    waiting = [asyncio.ensure_future(each.wait()) for each in machines]
    await asyncio.wait(waiting, timeout=_DYING_S, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()


def _failure(name: str, ended: VmmExit, dir: Path) -> MachineError | StorageFull:
    if ended.status == -signal.SIGBUS:  # what a mapped file does that cannot grow
        return storage_full(dir, f"the memory of machine {name!r}")
    return MachineError(
        f"machine {name!r} cannot be saved: the VMM that was to receive it ended: {ended.reason}",
        hint="try again; see the machine's console.log",
    )
