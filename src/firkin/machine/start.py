"""From a MachineSpec to a running Machine: find what it needs on this host, launch it, hand it over.

The rule: nothing is waited for before the VMM runs; what costs time to find out is found out once and kept.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from firkin.errors import FirkinError, MachineDied
from firkin.events import event, stage
from firkin.machine.accelerator import choose_accelerator
from firkin.machine.begin import begin, host_errors
from firkin.machine.console import Console
from firkin.machine.knobs import Knobs
from firkin.machine.launch import Lifetime as Lifetime
from firkin.machine.launch import launch
from firkin.machine.origin import Origin
from firkin.machine.prepared import Prepared as Prepared
from firkin.machine.programs import find_programs
from firkin.machine.qemu.command import Accelerator
from firkin.machine.qemu.devices import escaped
from firkin.machine.qemu.files import CONSOLE_FIFO, CONSOLE_LOG
from firkin.machine.qemu.machine import Machine
from firkin.machine.saved import Saved
from firkin.machine.spec import MachineSpec, PublishedPort
from firkin.machine.started import Started
from firkin.settings import Settings

_KVM_TRIAL_S = 10.0


@asynccontextmanager
async def boot(
    spec: MachineSpec,
    *,
    settings: Settings,
    dir: Path,
    run_dir: Path,
    lifetime: Lifetime = "owner",
    alive_fd: int | None = None,
    saved: Saved | None = None,
) -> AsyncIterator[Machine]:
    """A machine whose VMM has started; await `machine.booted(client.start(...))` for its agent.

    With `saved` it goes on from there; else it is a fork of a template where one can hold `spec`, and boots a
    kernel where none can (`machine.cold` says why).

    `dir` takes console.log, `run_dir` (0700, made when missing) the sockets. With lifetime `owner` the
    machine ends with this block, and with the thread that started it however that ends; with `detached` it
    lives on and the block's end only lets go of it. The VMM inherits `alive_fd`, so a flock on it is held as
    long as the VMM lives.

    Raises HostUnsupported (no QEMU, no kernel, no KVM where it was demanded), Misfit or Corrupt for what was
    `saved`, PortInUse, UsageError for a spec that QEMU cannot build, BootFailed.
    """
    started = begin(
        spec,
        settings=settings,
        dir=dir,
        run_dir=run_dir,
        lifetime=lifetime,
        alive_fd=alive_fd,
        saved=saved,
    )
    if started is None:
        with stage("machine.start", machine=spec.name), host_errors(spec.name):
            started = await _start(spec, settings, dir, run_dir, lifetime, alive_fd, saved)
    machine = Machine(started)
    try:
        yield machine
    finally:
        await (machine.stop() if lifetime == "owner" else machine.release())


def adopt(
    name: str,
    *,
    pid: int,
    accelerator: Accelerator,
    ports: tuple[PublishedPort, ...],
    dir: Path,
    run_dir: Path,
    cards: int = 0,
    boot_log: str = "",
) -> Machine:
    """The detached machine that somebody else started and no longer owns; the caller owns it now.

    Raises MachineDied where process `pid` is gone, or is not the VMM of machine `name`.
    """
    gone = MachineDied(f"machine {name!r} is gone: process {pid} is not its VMM", hint="`firkin rm` tidies")
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        raise gone from error
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError as error:
        os.close(pidfd)
        raise gone from error
    if f"guest={escaped(name)}".encode() not in argv:
        os.close(pidfd)
        raise gone
    console = Console(run_dir / CONSOLE_FIFO, dir / CONSOLE_LOG, "" if boot_log == "-" else boot_log)
    return Machine(
        Started(
            name=name,
            pid=pid,
            pidfd=pidfd,
            ours=False,
            accelerator=accelerator,
            ports=ports,
            run_dir=run_dir,
            console=console,
            cards=cards,
        )
    )


async def _start(
    spec: MachineSpec,
    settings: Settings,
    dir: Path,
    run_dir: Path,
    lifetime: Lifetime,
    alive_fd: int | None,
    saved: Saved | None,
) -> Started:
    """As begin(), where something has to be waited for."""
    prepared = await prepare(spec, settings)
    if saved is not None:
        origin: Origin = prepared.restored(saved, spec)
    else:
        origin = await _template(spec, prepared, settings) or prepared.cold
    return launch(spec, prepared.vmm, origin, settings, dir, run_dir, lifetime, alive_fd)


async def _template(spec: MachineSpec, prepared: Prepared, settings: Settings) -> Origin | None:
    """The template that can hold `spec`, made where it is missing; None, and the reason told, where none
    can.
    """
    from firkin.machine import template, template_maker

    reason = template.why_not(spec, settings)
    if not reason:
        try:
            saved = await template_maker.ready(spec, prepared, settings)
            return prepared.fork_of(saved, saved.dir)
        except (FirkinError, OSError) as error:
            reason = f"there is no template: {error}"
    event("machine.cold", machine=spec.name, reason=reason)
    return None


async def prepare(spec: MachineSpec, settings: Settings) -> Prepared:
    """What `spec` runs with, KVM tried where it never was. Raises HostUnsupported, UsageError, OSError."""
    programs = find_programs(spec, settings)

    async def trial() -> bool:
        plain = msgspec.structs.replace(spec, knobs=Knobs(kernel=spec.knobs.kernel))  # what a verdict is of
        return await _kvm_trial(find_programs(plain, settings).on_kvm, settings)

    return programs.prepared(await choose_accelerator(settings, programs.stamps, trial))


async def _kvm_trial(prepared: Prepared, settings: Settings) -> bool:
    """Whether a machine on KVM reaches its agent: the smallest one, thrown away afterwards."""
    from tempfile import TemporaryDirectory

    spec = MachineSpec(name="kvm-trial", memory_bytes=128 << 20, network="none", boot_timeout_s=_KVM_TRIAL_S)
    Path(settings.run_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="kvm-trial-", dir=settings.run_dir) as name:
        directory = Path(name)
        machine = Machine(
            launch(spec, prepared.vmm, prepared.cold, settings, directory, directory, "owner", None)
        )
        try:
            (await machine.booted(machine.first_answer())).close()
        except FirkinError:
            return False  # choose_accelerator tells the user, and uses TCG
        finally:
            await machine.stop()
    return True
