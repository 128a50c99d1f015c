"""The maker of templates: boots a machine that nobody uses, and saves it (see machine.template).

The rule: of all who want the same one, one makes it and the others wait for it; a template appears whole, by
rename. What a maker leaves behind that was killed is tidied by the next one, of whatever template.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import partial
from pathlib import Path

import msgspec

from firkin.aio.finish import finish
from firkin.aio.thread import in_thread
from firkin.errors import MachineError, Timeout
from firkin.events import stage
from firkin.machine import template
from firkin.machine.launch import launch
from firkin.machine.prepared import Prepared
from firkin.machine.qemu.machine import Machine
from firkin.machine.save import write_state
from firkin.machine.saved import MEMORY, Saved, free_bytes, keep, storage_full
from firkin.machine.spec import Disk, MachineSpec
from firkin.network.guest import guest_network
from firkin.network.spec import NetworkSpec
from firkin.settings import Settings
from firkin.wire.messages import Op

DISK_BYTES = 8 << 40
"""How large a fork's disk may be: the template's guest saw one of this size."""
_NEEDED_BYTES = 256 << 20
"""What has to be free on the disk for a template, unless its machine has less memory."""
_NO_ROOM_BYTES = 1 << 20
_POLL_S = 0.02
_NEW, _LOCK = ".new", "lock"


async def ready(spec: MachineSpec, prepared: Prepared, settings: Settings) -> Saved:
    """The template that `spec` is forked from, made now where it is missing.

    Raises StorageFull, Timeout, OSError, and what booting and saving it raise.
    """
    path = template.path_of(spec, prepared, settings)
    return template.find(path) or await _make(path, spec, prepared, settings)


async def _make(path: Path, spec: MachineSpec, prepared: Prepared, settings: Settings) -> Saved:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with _turn(path, settings.boot_timeout_s) as making:
        if (found := template.find(path)) is not None:
            return found  # somebody else made it while we waited
        with stage("template.make", template=path.name, memory_bytes=spec.memory_bytes):
            saved = await _boot_and_save(making, spec, prepared, settings)
        making.rename(path)
        (path / _LOCK).unlink()
    sweep(path.parent)
    template.prune(path.parent, settings, besides=path.name)
    return Saved(path, saved.machine)


async def _boot_and_save(dir: Path, spec: MachineSpec, prepared: Prepared, settings: Settings) -> Saved:
    if free_bytes(dir) < min(_NEEDED_BYTES, spec.memory_bytes):
        raise storage_full(dir, "a template")
    blank = Disk(path=Path(os.devnull), format="null", size_bytes=DISK_BYTES)
    generic = msgspec.structs.replace(
        spec, name=f"template-{dir.name[1:9]}", disks=(blank,) * len(spec.disks), ports=()
    )
    described = await in_thread(partial(prepared.describe, generic))
    memory_path = dir / MEMORY
    memory_path.touch(mode=0o600)
    os.truncate(memory_path, spec.memory_bytes)
    origin = msgspec.structs.replace(prepared.cold, memory_path=memory_path)
    with _run_dir(dir, settings) as run_dir:
        machine = Machine(launch(generic, prepared.vmm, origin, settings, run_dir, run_dir, "owner", None))
        try:
            with await machine.booted(machine.first_answer(_heard(spec))):
                await write_state(machine, dir)
        except MachineError as error:
            if free_bytes(dir) < _NO_ROOM_BYTES:  # its memory, which is a file, could not grow
                raise storage_full(dir, "a template") from error
            raise
        finally:
            await finish(machine.stop())
    return keep(dir, described)


def _heard(spec: MachineSpec) -> tuple[Op, ...]:
    """What most forks of it are told of their network, which the agent then need not do again."""
    return guest_network(NetworkSpec()).ops if spec.network == "user" else ()


@contextmanager
def _run_dir(making: Path, settings: Settings) -> Iterator[Path]:
    """Where the template's VMM has its sockets: one directory for each template, so that nothing piles up."""
    path = Path(settings.run_dir) / f"t{making.name.removesuffix(_NEW)}"
    shutil.rmtree(path, ignore_errors=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@asynccontextmanager
async def _turn(path: Path, patience_s: float) -> AsyncIterator[Path]:
    """The empty directory in which the template `path` is made, by us alone; gone with the block, unless it
    was renamed. Raises Timeout.
    """
    making = path.with_name(f".{path.name}{_NEW}")
    try:
        async with asyncio.timeout(2 * patience_s):
            lock_fd = await _lock(making)
    except TimeoutError as error:
        raise Timeout(
            f"another process has been making template {path.name} for {2 * patience_s:g} s",
            hint=f"it holds the lock of {making}",
        ) from error
    try:
        for leftover in making.iterdir():  # of a maker that was killed
            if leftover.name != _LOCK:
                leftover.unlink()
        yield making
    finally:
        if _holds(lock_fd, making):
            shutil.rmtree(making, ignore_errors=True)
        os.close(lock_fd)


async def _lock(making: Path) -> int:
    while True:  # a lock cannot be waited for without a thread
        if (lock_fd := _take(making)) is not None:
            return lock_fd
        await asyncio.sleep(_POLL_S)


def sweep(directory: Path) -> None:
    """Remove what makers left behind that were killed, and what is left of templates that were removed."""
    for path in directory.glob(f".*{template.GONE}"):
        shutil.rmtree(path, ignore_errors=True)
    for path in directory.glob(f".*{_NEW}"):
        if (lock_fd := _take(path)) is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock_fd)


def _take(making: Path) -> int | None:
    """The descriptor that holds the lock of the directory `making`, which is made when missing; None while
    somebody else holds it.
    """
    making.mkdir(mode=0o700, exist_ok=True)
    try:
        lock_fd = os.open(making / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None  # it was renamed, or swept
    with suppress(BlockingIOError):
        flock(lock_fd, LOCK_EX | LOCK_NB)
        if _holds(lock_fd, making):
            return lock_fd
    os.close(lock_fd)
    return None


def _holds(lock_fd: int, making: Path) -> bool:
    """Whether the lock is still that of `making`."""
    try:
        return os.path.samestat(os.fstat(lock_fd), os.stat(making / _LOCK))
    except FileNotFoundError:
        return False
