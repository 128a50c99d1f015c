"""The programs of a machine on this host: QEMU, kernel, agent and accelerator, found and put together.

The rule: what costs time to find out is found out once and kept, so that it is known when a machine starts.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from firkin.errors import HostUnsupported, UsageError
from firkin.events import event
from firkin.machine.accelerator import Verdict, known_accelerator
from firkin.machine.artifacts import artifact, lookup, stamp
from firkin.machine.initramfs import Contents, agent_path, initramfs_path
from firkin.machine.kernel import Kernel, choose_kernel
from firkin.machine.knobs import Knobs
from firkin.machine.launch import Vmm
from firkin.machine.origin import Cold
from firkin.machine.prepared import Prepared
from firkin.machine.qemu.command import kernel_cmdline
from firkin.machine.spec import MachineSpec
from firkin.machine.tsc import tsc_khz
from firkin.settings import Settings

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_MIN_MEMORY_BYTES = 64 << 20
_MAX_CPUS = 288  # QEMU's bound for microvm


class Programs(msgspec.Struct, frozen=True):
    """What there is for a machine, before it is known which accelerator runs it."""

    spec: MachineSpec
    on_kvm: Prepared
    boot_id: str
    """Of this host."""
    stamps: tuple[str, ...]
    """What a verdict about KVM holds for."""

    def prepared(self, verdict: Verdict) -> Prepared:
        """How they run with that accelerator. Raises OSError."""
        if verdict.notice:
            event("machine.notice", machine=self.spec.name, text=verdict.notice)
        if verdict.accelerator == "kvm":
            return self.on_kvm
        if self.spec.knobs.nested:
            from firkin.machine.knob_checks import refuse_nested

            refuse_nested(self.spec.name, verdict.notice)
        khz = tsc_khz(self.on_kvm.cache_dir, self.boot_id)
        cmdline = kernel_cmdline("tcg", self.spec.knobs, tsc_khz=khz, cards=self.spec.used_cards)
        cold = msgspec.structs.replace(self.on_kvm.cold, cmdline=cmdline)
        return msgspec.structs.replace(self.on_kvm, vmm=Vmm(self.on_kvm.vmm.qemu, "tcg"), cold=cold)


def find_programs(spec: MachineSpec, settings: Settings) -> Programs:
    """QEMU, kernel, agent and initramfs for `spec`. Raises HostUnsupported, UsageError, OSError."""
    _check(spec)
    cache_dir, qemu = settings.paths.cache_dir, _qemu(settings.qemu)
    knobs = spec.knobs
    kernel, agent = choose_kernel(knobs.chosen(settings)), agent_path()
    network = spec.network != "none" or spec.cards > 0
    contents = Contents(agent, kernel, network=network, shares=bool(spec.shares), knobs=knobs)
    cmdline = kernel_cmdline("kvm", knobs, cards=spec.used_cards)
    cold = Cold(_bootable(kernel, cache_dir), initramfs_path(contents, cache_dir), cmdline)
    boot_id = Path(_BOOT_ID).read_text().strip()
    stamps = _stamps(qemu, kernel, agent, boot_id)
    return Programs(spec, Prepared(Vmm(qemu, "kvm"), cold, kernel, agent, cache_dir), boot_id, stamps)


def known(spec: MachineSpec, settings: Settings) -> Prepared | None:
    """What `spec` runs with; None where KVM has to be tried first. Raises as find_programs()."""
    programs = find_programs(spec, settings)
    verdict = known_accelerator(settings, programs.stamps)
    return None if verdict is None else programs.prepared(verdict)


def known_of_kvm(settings: Settings) -> str | None:
    """Why machines do not run on this host's KVM, "" where they do; None where that was never tried.

    Raises as find_programs().
    """
    boot_id = Path(_BOOT_ID).read_text().strip()
    stamps = _stamps(_qemu(settings.qemu), choose_kernel(settings), agent_path(), boot_id)
    kept = lookup(settings.paths.cache_dir, "kvm", stamps)
    return None if kept is None else kept.read_text()


def _stamps(qemu: str, kernel: Kernel, agent: Path, boot_id: str) -> tuple[str, ...]:
    return os.uname().release, boot_id, stamp(Path(qemu)), stamp(kernel.path), stamp(agent)


def _qemu(name: str) -> str:
    candidates = [name] if "/" in name else [f"{each}/{name}" for each in os.get_exec_path()]
    qemu = next((each for each in candidates if os.path.isfile(each) and os.access(each, os.X_OK)), None)
    if qemu is None:
        from firkin.faults.machines import QEMU_MISSING

        raise HostUnsupported(f"there is no QEMU: {name} was not found", hint=QEMU_MISSING.hint())
    return qemu


def _bootable(kernel: Kernel, cache_dir: Path) -> Path:
    """The kernel as QEMU starts it fastest, readable by whomever QEMU runs as. Raises Corrupt, OSError."""

    def make() -> bytes:
        from firkin.machine import vmlinux

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
    if spec.knobs != Knobs():
        from firkin.machine.knob_checks import check_knobs

        check_knobs(spec)
