"""Templates: machines that booted once and were never used, from which every other one is forked.

    templates/<key>/          memory, state, saved.json; the key names all that went into it
    templates/.<key>.new      being made; its `lock` is flocked by its maker
    templates/.<key>.gone     being removed

A template has an agent that listens, as many disks as its forks, none of which was ever looked at, and a
network card that leads nowhere; a fork is given its own disks and network. The rule: a template never runs
again, and nobody's secret is in it. It is of one boot of the host, and is not synced to the disk: after a
power cut another is made.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from firkin.errors import Corrupt
from firkin.events import event
from firkin.machine.prepared import Prepared
from firkin.machine.saved import Saved, load
from firkin.machine.spec import MachineSpec
from firkin.settings import Settings

GONE = ".gone"
_HOUR_S = 3600


def why_not(spec: MachineSpec, settings: Settings) -> str:
    """Why no template can hold `spec`; "" where one can."""
    if settings.templates == 0:
        return "templates are turned off by the settings"
    if spec.shares:
        return "directories are shared with the host"
    if any(disk.as_it_is for disk in spec.disks):
        return "it has a device of this host, whose size no template can know"
    if reason := spec.knobs.why_cold:
        return reason
    if not spec.disks:
        return "it has 0 disks, and a template one or more"
    return ""


def path_of(spec: MachineSpec, prepared: Prepared, settings: Settings) -> Path:
    """Where the template that `spec` is forked from is, or would be. Raises OSError."""
    return settings.paths.templates_dir / prepared.key(spec)


def find(path: Path) -> Saved | None:
    """The template at `path`; None where there is none, or none that is whole (which is removed)."""
    if not path.is_dir():
        return None
    try:
        saved = load(path)
    except Corrupt as error:
        if path.is_dir():  # and was not removed while it was read
            event("template.corrupt", template=path.name, error=error)
            remove(path)
        return None
    with suppress(FileNotFoundError):
        if time.time() - path.stat().st_mtime > _HOUR_S:
            os.utime(path)
    return saved


def remove(path: Path) -> None:
    """Remove a template; machines that run from it go on. A crash leaves a .gone, which the next maker of any
    template removes.
    """
    from shutil import rmtree

    gone = path.with_name(f".{path.name}{GONE}")
    rmtree(gone, ignore_errors=True)
    with suppress(OSError):  # somebody else is at it
        path.rename(gone)
    rmtree(gone, ignore_errors=True)


def prune(directory: Path, settings: Settings, *, besides: str = "") -> int:
    """Remove the templates that were not used for longest, beyond the number and the bytes that the settings
    allow, but never `besides`; how many. Machines that run from them go on.
    """
    kept = {path: _used_at(path) for path in everyone(directory)}
    total_bytes = removed = 0
    for number, path in enumerate(sorted(kept, key=lambda path: (path.name != besides, -kept[path]))):
        total_bytes += disk_bytes(path)
        if path.name != besides and (number >= settings.templates or total_bytes > settings.templates_bytes):
            remove(path)
            removed += 1
    return removed


def _used_at(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0


def everyone(directory: Path) -> list[Path]:
    """The templates in `directory`, whole or not, in no order."""
    with suppress(FileNotFoundError):
        return [path for path in directory.iterdir() if not path.name.startswith(".")]
    return []


def disk_bytes(path: Path) -> int:
    """What the template at `path` takes on the disk; 0 where it is gone."""
    with suppress(FileNotFoundError):
        return sum(file.stat().st_blocks * 512 for file in path.iterdir())
    return 0
