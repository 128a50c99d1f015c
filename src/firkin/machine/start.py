"""From a MachineSpec to a running Machine: find what it needs on this host, launch it, hand it over.

The rule: nothing is waited for before the VMM runs; what costs time to find out is found out once and kept.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from firkin.aio.child import Child
from firkin.errors import FirkinError, HostUnsupported, MachineDied, UsageError
from firkin.events import event, stage
from firkin.machine import vmlinux
from firkin.machine.accelerator import choose_accelerator
from firkin.machine.artifacts import artifact, stamp
from firkin.machine.console import Console
from firkin.machine.initramfs import Contents, agent_path, initramfs_path
from firkin.machine.kernel import Kernel, choose_kernel
from firkin.machine.launch import Lifetime as Lifetime
from firkin.machine.launch import Vmm, launch
from firkin.machine.origin import Cold, Origin
from firkin.machine.prepared import Prepared as Prepared
from firkin.machine.qemu.command import Accelerator, kernel_cmdline
from firkin.machine.qemu.devices import escaped
from firkin.machine.qemu.machine import CONSOLE_FIFO, CONSOLE_LOG, Machine
from firkin.machine.saved import Saved
from firkin.machine.spec import MachineSpec, PublishedPort
from firkin.machine.tsc import tsc_khz
from firkin.settings import Settings

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_KVM_TRIAL_S = 10.0
_MIN_MEMORY_BYTES = 64 << 20
_MAX_CPUS = 288  # QEMU's bound for microvm


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
    machine: Machine | None = None
    try:
        with stage("machine.start", machine=spec.name):
            machine = await _start(spec, settings, dir, run_dir, lifetime, alive_fd, saved)
        yield machine
    finally:
        if machine is not None:
            await (machine.stop() if lifetime == "owner" else machine.release())


def adopt(
    name: str,
    *,
    pid: int,
    accelerator: Accelerator,
    ports: tuple[PublishedPort, ...],
    dir: Path,
    run_dir: Path,
) -> Machine:
    """The detached machine that somebody else started and no longer owns; the caller owns it now.

    Raises MachineDied where process `pid` is gone, or is not the VMM of machine `name`.
    """
    gone = MachineDied(f"machine {name!r} is gone: process {pid} is not its VMM", hint="`firkin rm` tidies")
    try:
        vmm = Child.adopt(pid)
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError as error:
        raise gone from error
    if f"guest={escaped(name)}".encode() not in argv:
        vmm.close()
        raise gone
    console = Console(run_dir / CONSOLE_FIFO, dir / CONSOLE_LOG)
    return Machine(name, vmm, accelerator=accelerator, ports=ports, run_dir=run_dir, console=console)


async def _start(
    spec: MachineSpec,
    settings: Settings,
    dir: Path,
    run_dir: Path,
    lifetime: Lifetime,
    alive_fd: int | None,
    saved: Saved | None,
) -> Machine:
    try:
        prepared = await prepare(spec, settings)
        if saved is not None:
            origin: Origin = prepared.restored(saved, spec)
        else:
            origin = await _template(spec, prepared, settings) or prepared.cold
        return launch(spec, prepared.vmm, origin, settings, dir, run_dir, lifetime, alive_fd)
    except OSError as error:
        raise HostUnsupported(
            f"cannot start machine {spec.name!r}: {error}", hint="see firkin info"
        ) from error


async def _template(spec: MachineSpec, prepared: Prepared, settings: Settings) -> Origin | None:
    """The template that can hold `spec`, made where it is missing; None, and the reason told, where none
    can.
    """
    from firkin.machine import template

    reason = template.why_not(spec, settings)
    if not reason:
        try:
            return prepared.fork_of(await template.ready(spec, prepared, settings))
        except FirkinError as error:
            reason = f"there is no template: {error}"
    event("machine.cold", machine=spec.name, reason=reason)
    return None


async def prepare(spec: MachineSpec, settings: Settings) -> Prepared:
    """QEMU, kernel, initramfs and accelerator for `spec`. Raises HostUnsupported, UsageError, OSError."""
    _check(spec)
    qemu = shutil.which(settings.qemu)
    if qemu is None:
        raise HostUnsupported(
            f"there is no QEMU: {settings.qemu} was not found", hint="sudo apt install qemu-system-x86"
        )
    cache_dir, kernel, agent = settings.paths.cache_dir, choose_kernel(settings), agent_path()
    contents = Contents(agent, kernel, network=spec.network != "none", shares=bool(spec.shares))
    host = (os.uname().release, Path(_BOOT_ID).read_text().strip())
    kernel_path, initramfs = _bootable(kernel, cache_dir), initramfs_path(contents, cache_dir)
    on_kvm = Prepared(
        Vmm(qemu, "kvm"), Cold(kernel_path, initramfs, kernel_cmdline("kvm")), kernel, agent, cache_dir
    )
    programs = (*host, stamp(Path(qemu)), stamp(kernel.path), stamp(agent))
    verdict = await choose_accelerator(settings, programs, lambda: _kvm_trial(on_kvm, settings))
    if verdict.notice:
        event("machine.notice", machine=spec.name, text=verdict.notice)
    if verdict.accelerator == "kvm":
        return on_kvm
    cmdline = kernel_cmdline("tcg", tsc_khz=tsc_khz(cache_dir, host[1]))
    cold = Cold(kernel_path, initramfs, cmdline)
    return msgspec.structs.replace(on_kvm, vmm=Vmm(qemu, "tcg"), cold=cold)


async def _kvm_trial(prepared: Prepared, settings: Settings) -> bool:
    """Whether a machine on KVM reaches its agent: the smallest one, thrown away afterwards."""
    from tempfile import TemporaryDirectory

    spec = MachineSpec(name="kvm-trial", memory_bytes=128 << 20, network="none", boot_timeout_s=_KVM_TRIAL_S)
    Path(settings.run_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="kvm-trial-", dir=settings.run_dir) as name:
        directory = Path(name)
        machine = launch(spec, prepared.vmm, prepared.cold, settings, directory, directory, "owner", None)
        try:
            (await machine.booted(machine.first_answer())).close()
        except FirkinError:
            return False  # choose_accelerator tells the user, and uses TCG
        finally:
            await machine.stop()
    return True


def _bootable(kernel: Kernel, cache_dir: Path) -> Path:
    """The kernel as QEMU starts it fastest, readable by whomever QEMU runs as. Raises Corrupt, OSError."""

    def make() -> bytes:
        image = kernel.path.read_bytes()
        return vmlinux.extract(image) or image

    return artifact(cache_dir, "vmlinux", (stamp(kernel.path),), make)


def _check(spec: MachineSpec) -> None:
    if spec.memory_bytes < _MIN_MEMORY_BYTES:
        raise UsageError(
            f"machine {spec.name!r} cannot start with {spec.memory_bytes >> 20} MiB of memory",
            hint=f"give it at least {_MIN_MEMORY_BYTES >> 20} MiB",
        )
    if not 1 <= spec.cpus <= _MAX_CPUS:
        raise UsageError(
            f"machine {spec.name!r} cannot have {spec.cpus} CPUs", hint=f"give it 1 to {_MAX_CPUS}"
        )
