"""Templates: machines that booted once and were never used, from which every other one is forked.

    templates/<key>/          memory, state, saved.json; the key names all that went into it
    templates/.<key>.new      being made; flocked by its maker

A template has an agent that listens, one disk that was never looked at, and a network card that leads
nowhere; a fork is given its own disk and network. The rule: a template never runs again, and only those that
may have any guest's secrets in them are a person's: this has none.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from firkin.aio.thread import in_thread
from firkin.errors import Corrupt, Timeout
from firkin.events import event, stage
from firkin.machine.launch import launch
from firkin.machine.prepared import Prepared
from firkin.machine.save import write_state
from firkin.machine.saved import MEMORY, Saved, keep, load
from firkin.machine.spec import Disk, MachineSpec
from firkin.settings import Settings

DISK_BYTES = 8 << 40
"""How large a fork's disk may be: the template's guest saw one of this size."""
_POLL_S = 0.02
_HOUR_S = 3600
_NOTHING = Path(os.devnull)


def why_not(spec: MachineSpec, settings: Settings) -> str:
    """Why no template can hold `spec`; "" where one can."""
    if settings.templates == 0:
        return "templates are turned off by the settings"
    if spec.shares:
        return "directories are shared with the host"
    if len(spec.disks) != 1:
        return f"it has {len(spec.disks)} disks, and a template one"
    return ""


async def ready(spec: MachineSpec, prepared: Prepared, settings: Settings) -> Saved:
    """The template that `spec` is forked from, made now where it is missing.

    Raises what booting and saving it raise.
    """
    path = settings.paths.templates_dir / prepared.key(spec)
    return find(path) or await _make(path, spec, prepared, settings)


def find(path: Path) -> Saved | None:
    """The template at `path`; None where there is none, or none that is whole (which is removed)."""
    if not path.is_dir():
        return None
    try:
        saved = load(path)
    except Corrupt as error:
        event("template.corrupt", template=path.name, error=error)
        shutil.rmtree(path, ignore_errors=True)
        return None
    if time.time() - path.stat().st_mtime > _HOUR_S:
        os.utime(path)
    return saved


async def _make(path: Path, spec: MachineSpec, prepared: Prepared, settings: Settings) -> Saved:
    making = path.with_name(f".{path.name}.new")
    making.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with _locked(making.with_suffix(".lock"), settings.boot_timeout_s):
        if (found := find(path)) is not None:
            return found  # somebody else made it while we waited
        shutil.rmtree(making, ignore_errors=True)  # whoever was at it died
        making.mkdir(mode=0o700)
        try:
            with stage("template.make", template=path.name, memory_bytes=spec.memory_bytes):
                saved = await _boot_and_save(making, spec, prepared, settings)
            making.rename(path)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    prune(path.parent, settings, besides=path.name)
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
        machine = launch(generic, prepared.vmm, origin, settings, run_dir, run_dir, "owner", None)
        try:
            with await machine.booted(machine.first_answer()):
                await write_state(await machine.monitor(), generic.name, dir)
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


def prune(directory: Path, settings: Settings, *, besides: str = "") -> int:
    """Remove the templates that were not used for longest, beyond the number and the bytes that the settings
    allow, but never `besides`; how many. Machines that run from them go on.
    """
    found = sorted(
        (path for path in directory.iterdir() if not path.name.startswith(".")),
        key=lambda path: (path.name == besides, path.stat().st_mtime),
        reverse=True,
    )
    total_bytes = removed = 0
    for number, path in enumerate(found):
        total_bytes += sum(file.stat().st_blocks * 512 for file in path.iterdir())
        if path.name != besides and (number >= settings.templates or total_bytes > settings.templates_bytes):
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
    return removed
