"""Saving: a machine's memory and state as files, from which others can be started.

A machine whose memory is a file already (a template's) only writes its state. Any other is migrated into a
mirror, a second QEMU behind the same walls that never runs: it receives the memory into a file while the
guest runs on, and then writes its own state. The guest stands still only while the last pages, the devices
and the disk are taken over.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from qemu.qmp import EventListener, QMPClient

from firkin.errors import AgentError
from firkin.machine.launch import Vmm, launch
from firkin.machine.origin import Mirror
from firkin.machine.qemu.machine import Machine
from firkin.machine.qemu.migration import migration
from firkin.machine.qemu.monitor import execute
from firkin.machine.saved import MEMORY, STATE
from firkin.machine.spec import Disk, MachineSpec
from firkin.machine.stub import stub_path
from firkin.settings import Settings

_STATE_DEADLINE_S = 30.0
_MEMORY_DEADLINE_S = 600.0
_SWITCH = "pause-before-switchover"
_UNFINISHED = "not finalized"
_FINISH_S, _RETRY_S = 10.0, 0.001


class Saving(msgspec.Struct, frozen=True):
    """What a save cost: the whole of it, and how long the guest stood still, in seconds."""

    took_s: float
    paused_s: float


async def write_state(client: QMPClient, machine: str, dir: Path) -> None:
    """Write the state of a machine whose memory is a file. It stands still then, and must not run again.

    Raises MachineError, Timeout, OSError.
    """
    fd = os.open(dir / STATE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        async with migration(
            client, machine, capabilities=("x-ignore-shared",), deadline_s=_STATE_DEADLINE_S
        ) as moving:
            await moving.send(fd)
            await moving.reaches("completed")
    finally:
        os.close(fd)


async def save(
    machine: Machine,
    spec: MachineSpec,
    settings: Settings,
    dir: Path,
    *,
    standing_still: Callable[[], Awaitable[None]] | None = None,
    stop: bool = False,
) -> Saving:
    """Write memory and state of `machine`, which is of `spec`, to `dir`. It goes on as it was, unless `stop`.

    `standing_still` is awaited while the guest stands still: the moment to take its disk. Raises
    MachineError, Timeout, HostUnsupported, OSError; then `machine` goes on, and `dir` holds nothing whole.
    """
    begin = time.monotonic()
    client = await machine.monitor()
    runs = await _runs(client, machine.name)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        async with _mirror(machine, spec, settings, dir) as mirror:
            with client.listener(names=("STOP", "RESUME")) as listener:
                try:
                    await _copy(client, machine.name, ours, mirror, theirs, standing_still)
                finally:
                    if runs and not stop:
                        await _go_on(client, machine.name)
                paused_s = await _stood_still_s(listener) if runs and not stop else 0.0
            await write_state(await mirror.monitor(), mirror.name, dir)
    return Saving(time.monotonic() - begin, paused_s)


async def _copy(
    client: QMPClient,
    name: str,
    ours: socket.socket,
    mirror: Machine,
    theirs: socket.socket,
    standing_still: Callable[[], Awaitable[None]] | None,
) -> None:
    """Migrate the machine into the mirror. When this raises, the machine is as it was, maybe stopped."""
    receiver = await mirror.monitor()
    async with (
        migration(receiver, mirror.name, capabilities=(), deadline_s=_MEMORY_DEADLINE_S) as arriving,
        migration(client, name, capabilities=(_SWITCH,), deadline_s=_MEMORY_DEADLINE_S) as leaving,
    ):
        await arriving.receive(theirs.fileno())
        await leaving.send(ours.fileno())
        for end in (ours, theirs):
            end.close()  # who reads must hear of it when who writes ends, and the other way round
        try:
            await leaving.reaches("pre-switchover")
            if standing_still is not None:
                await standing_still()
            await leaving.proceed()
            await leaving.reaches("completed")
        except BaseException:
            await leaving.cancel()
            raise
        await arriving.reaches("completed")


@asynccontextmanager
async def _mirror(
    machine: Machine, spec: MachineSpec, settings: Settings, dir: Path
) -> AsyncIterator[Machine]:
    """A second VMM that can receive `machine` into files in `dir`; gone at the end of the block."""
    vmm = Vmm(shutil.which(settings.qemu) or settings.qemu, machine.accelerator)
    nothing = Disk(path=Path(os.devnull), format="null", size_bytes=1 << 30)
    twin = msgspec.structs.replace(
        spec, name=f"{spec.name}-mirror", disks=(nothing,) * len(spec.disks), ports=()
    )
    memory_path = dir / MEMORY
    with open(memory_path, "xb") as file:
        file.truncate(spec.memory_bytes)
    origin = Mirror(stub_path(settings.paths.cache_dir), memory_path)
    with TemporaryDirectory(prefix="m-", dir=settings.run_dir) as name:
        run_dir = Path(name)
        mirror = Machine(launch(twin, vmm, origin, settings, run_dir, run_dir, "owner", None))
        try:
            yield mirror
        finally:
            await mirror.stop()


async def _go_on(client: QMPClient, name: str) -> None:
    """Let the guest run again. QEMU tells the end of a migration a moment before it can."""
    end = time.monotonic() + _FINISH_S
    while True:
        try:
            await execute(client, "cont", name)
            return
        except AgentError as error:
            if _UNFINISHED not in str(error) or time.monotonic() > end:
                raise
            await asyncio.sleep(_RETRY_S)


async def _runs(client: QMPClient, name: str) -> bool:
    status: Any = await execute(client, "query-status", name)
    return bool(status["running"])


async def _stood_still_s(listener: EventListener) -> float:
    """How long the guest stood still, by QEMU's own clock, once it runs again."""
    times = {}
    async for event in listener:
        message: Any = event
        stamp = message["timestamp"]
        times[message["event"]] = stamp["seconds"] + stamp["microseconds"] / 1e6
        if message["event"] == "RESUME":
            break
    return float(times["RESUME"] - times["STOP"])
