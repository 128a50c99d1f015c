"""Templates, as a user sees them: made ahead of time, listed, and taken away when nothing can use them.

Where there is none, a run makes it before it goes on (machine.template_maker), so nobody needs this.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from firkin.errors import Corrupt, FirkinError, UsageError
from firkin.machine import programs, template
from firkin.machine.knobs import Knobs
from firkin.machine.saved import SavedMachine, load
from firkin.machine.spec import SPARE_CARDS, Disk, MachineSpec, NetworkMode
from firkin.settings import Settings


class TemplateSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One template. `disk_bytes` is what it takes on the disk, `used_ns` when it was last used, to the hour.

    `usable` is whether a machine that starts now can be forked from it: no program has changed since, and the
    host has not been booted anew.
    """

    key: str
    cpus: int
    memory_bytes: int
    network: NetworkMode
    accelerator: str
    kernel: str
    disk_bytes: int
    used_ns: int
    usable: bool


async def make(
    settings: Settings,
    *,
    cpus: int | None = None,
    memory_bytes: int | None = None,
    network: NetworkMode = "user",
) -> TemplateSummary:
    """The template of machines of that shape, the settings' where nothing is said; made where it is missing.

    Raises UsageError where templates are turned off or QEMU cannot build such a machine, HostUnsupported,
    StorageFull, Timeout, BootFailed.
    """
    from firkin.machine.start import prepare
    from firkin.machine.template_maker import ready

    spec = _shape(
        settings.cpus if cpus is None else cpus,
        settings.memory_bytes if memory_bytes is None else memory_bytes,
        network,
        SPARE_CARDS if network == "user" else 0,
        0,
    )
    if reason := template.why_not(spec, settings):
        raise UsageError(f"no template can be made: {reason}", hint="set `templates` above 0")
    saved = await ready(spec, await prepare(spec, settings), settings)
    return _summary(saved.dir, saved.machine, settings)


def summaries(settings: Settings) -> list[TemplateSummary]:
    """Every template that is whole, the last used first."""
    found = []
    for path in template.everyone(settings.paths.templates_dir):
        try:
            found.append(_summary(path, load(path).machine, settings))
        except (Corrupt, FileNotFoundError):
            continue  # the next start of its shape removes it
    return sorted(found, key=lambda each: -each.used_ns)


def prune(settings: Settings, *, all: bool = False) -> int:
    """Remove the templates that cannot be used any more; with `all` every one. The bytes given back."""
    directory, kept = settings.paths.templates_dir, set()
    if not all:
        kept = {each.key for each in summaries(settings) if each.usable}
    given_back = 0
    for path in template.everyone(directory):
        if path.name not in kept:
            given_back += template.disk_bytes(path)
            template.remove(path)
    return given_back


def _summary(path: Path, machine: SavedMachine, settings: Settings) -> TemplateSummary:
    return TemplateSummary(
        key=path.name,
        cpus=machine.cpus,
        memory_bytes=machine.memory_bytes,
        network=machine.network,
        accelerator=machine.accelerator,
        kernel=machine.kernel.version,
        disk_bytes=template.disk_bytes(path),
        used_ns=path.stat().st_mtime_ns,
        usable=_is_usable(path, machine, settings),
    )


def _is_usable(path: Path, machine: SavedMachine, settings: Settings) -> bool:
    """Whether this is the template that a machine of its shape would be forked from now."""
    spec = _shape(
        machine.cpus, machine.memory_bytes, machine.network, machine.cards, machine.ready, machine.disks
    )
    spec = msgspec.structs.replace(spec, knobs=Knobs(entropy="entropy" in machine.devices))
    try:
        prepared = programs.known(spec, settings)
        return prepared is not None and template.path_of(spec, prepared, settings) == path
    except (FirkinError, OSError):
        return False  # no machine starts here at all


def _shape(
    cpus: int, memory_bytes: int, network: NetworkMode, cards: int, ready: int, disks: int = 1
) -> MachineSpec:
    disk = Disk(path=Path("/dev/null"), format="raw")
    return MachineSpec(
        name="template",
        cpus=cpus,
        memory_bytes=memory_bytes,
        network=network,
        cards=cards,
        ready=ready,
        disks=(disk,) * disks,
    )
