"""The maker of templates: boots a machine that nobody uses, and saves it (see machine.template).

The rule: of all who want the same one, one makes it and the others wait for it; a template appears whole, by
rename.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from firkin.aio.thread import in_thread
from firkin.errors import Timeout
from firkin.events import stage
from firkin.machine import template
from firkin.machine.launch import launch
from firkin.machine.prepared import Prepared
from firkin.machine.qemu.machine import Machine
from firkin.machine.save import write_state
from firkin.machine.saved import MEMORY, Saved, keep
from firkin.machine.spec import Disk, MachineSpec
from firkin.settings import Settings

DISK_BYTES = 8 << 40
"""How large a fork's disk may be: the template's guest saw one of this size."""
_POLL_S = 0.02
_NOTHING = Path(os.devnull)


async def ready(spec: MachineSpec, prepared: Prepared, settings: Settings) -> Saved:
    """The template that `spec` is forked from, made now where it is missing.

    Raises what booting and saving it raise.
    """
    path = template.path_of(spec, prepared, settings)
    return template.find(path) or await _make(path, spec, prepared, settings)


async def _make(path: Path, spec: MachineSpec, prepared: Prepared, settings: Settings) -> Saved:
    making = path.with_name(f".{path.name}.new")
    making.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with _locked(making.with_suffix(".lock"), settings.boot_timeout_s):
        if (found := template.find(path)) is not None:
            return found  # somebody else made it while we waited
        shutil.rmtree(making, ignore_errors=True)  # whoever was at it died
        making.mkdir(mode=0o700)
        try:
            with stage("template.make", template=path.name, memory_bytes=spec.memory_bytes):
                saved = await _boot_and_save(making, spec, prepared, settings)
            making.rename(path)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    template.prune(path.parent, settings, besides=path.name)
    return Saved(path, saved.machine)


async def _boot_and_save(dir: Path, spec: MachineSpec, prepared: Prepared, settings: Settings) -> Saved:
    blank = Disk(path=_NOTHING, format="null", size_bytes=DISK_BYTES)
    generic = msgspec.structs.replace(spec, name=f"template-{dir.name[1:9]}", disks=(blank,), ports=())
    described = await in_thread(lambda: prepared.describe(generic))
    memory_path = dir / MEMORY
    memory_path.touch(mode=0o600)
    os.truncate(memory_path, spec.memory_bytes)
    origin = msgspec.structs.replace(prepared.cold, memory_path=memory_path)
    Path(settings.run_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="t-", dir=settings.run_dir) as name:
        run_dir = Path(name)
        machine = Machine(launch(generic, prepared.vmm, origin, settings, run_dir, run_dir, "owner", None))
        try:
            with await machine.booted(machine.first_answer()):
                await write_state(machine, dir)
        finally:
            await machine.stop()
    return keep(dir, described)


@asynccontextmanager
async def _locked(path: Path, patience_s: float) -> AsyncIterator[None]:
    """Hold the flock on `path`, which is left behind empty. Raises Timeout."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        async with asyncio.timeout(2 * patience_s):
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(_POLL_S)
        yield
    except TimeoutError as error:
        raise Timeout(f"another process is making {path.stem} for too long", hint="is it stuck?") from error
    finally:
        os.close(fd)
