"""Saved machines for tests: a guest is saved with its disk, and others go on from that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from firkin import machine as machines
from firkin.agent.client import AgentClient
from firkin.machine.save import Saving, save
from firkin.machine.saved import Saved, keep
from firkin.machine.spec import Disk, MachineSpec
from firkin.machine.start import boot, prepare
from firkin.settings import Settings
from tests.support.machines import MIB, Guest


def top_over(disk: Disk, path: Path) -> Disk:
    """An empty top at `path`, with all of `disk` under it, as it is now."""
    assert disk.backing is not None
    machines.create_overlay(path, disk.backing, 64 * MIB)
    return msgspec.structs.replace(disk, path=path, layers=(disk.path, *disk.layers))


async def save_to(
    it: Guest, spec: MachineSpec, settings: Settings, directory: Path, **options: Any
) -> tuple[Saved, Saving]:
    """What `it` was, kept in `directory`, and the cost. Its disk goes on being written."""
    directory.mkdir()
    cost = await save(it.machine, spec, settings, directory, silence=it.client.quiet, **options)
    return keep(directory, (await prepare(spec, settings)).describe(spec)), cost


async def save_with_disk(
    it: Guest, spec: MachineSpec, settings: Settings, directory: Path
) -> tuple[Saved, MachineSpec, Saving]:
    """As save_to(), and the spec of `it` from now on: its disk has a new top."""
    below = spec.disks[0]
    now = top_over(below, directory.with_suffix(".qcow2"))

    async def switch() -> None:
        await it.machine.switch_overlay(now.path)

    saved, cost = await save_to(it, spec, settings, directory, standing_still=switch)
    return saved, msgspec.structs.replace(spec, disks=(now,)), cost


def child(spec: MachineSpec, name: str, directory: Path) -> MachineSpec:
    """Of a machine that was saved with its disk, whose spec is `spec` since then: one that goes on from
    there.
    """
    disk = spec.disks[0]
    assert disk.backing is not None
    directory.mkdir(exist_ok=True)
    machines.create_overlay(directory / "disk.qcow2", disk.backing, 64 * MIB)
    top = msgspec.structs.replace(disk, path=directory / "disk.qcow2")
    return msgspec.structs.replace(spec, name=name, disks=(top,))


@asynccontextmanager
async def fork(saved: Saved, spec: MachineSpec, settings: Settings, directory: Path) -> AsyncIterator[Guest]:
    """A machine that goes on from `saved`; it ends with the block."""
    directory.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        machine = await stack.enter_async_context(
            boot(spec, settings=settings, dir=directory, run_dir=directory / "run", saved=saved)
        )
        client = await stack.enter_async_context(
            await AgentClient.open(machine.open_agent(), machine=spec.name)
        )
        await machine.booted(client.start(resume=True, whole=True))
        yield Guest(machine, client)
