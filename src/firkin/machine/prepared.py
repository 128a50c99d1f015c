"""Prepared: what a start needs to know and what costs time to find out, without anything started."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from firkin.machine.artifacts import stamp
from firkin.machine.kernel import Kernel
from firkin.machine.launch import Vmm
from firkin.machine.origin import Cold, Restored
from firkin.machine.qemu.devices import Board, cpu_model
from firkin.machine.saved import Part, Saved, SavedMachine, check_fit, sha256_of, version_of
from firkin.machine.spec import MachineSpec
from firkin.machine.stub import stub_path

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Prepared(msgspec.Struct, frozen=True):
    """The programs of a machine on this host, and how it would boot."""

    vmm: Vmm
    cold: Cold
    kernel: Kernel
    agent: Path
    cache_dir: Path

    def key(self, spec: MachineSpec) -> str:
        """Names the template that `spec` needs: changes with every input, and with every boot of the host.
        Reads none of the files. Raises OSError.
        """
        files = (Path(self.vmm.qemu), self.cold.kernel_path, self.cold.initramfs_path, self.agent)
        stamps = (stamp(file.resolve()) for file in files)
        shape = (spec.cpus, spec.memory_bytes, spec.network, spec.cards, len(spec.disks), *spec.knobs.devices)
        boot_id = Path(_BOOT_ID).read_text()
        board = Board(self.vmm.accelerator, spec.cpus, spec.memory_bytes >> 20).args()
        inputs = (*stamps, boot_id, self._cpu_model(spec), *board, self.cold.cmdline, *shape)
        return hashlib.sha256("\0".join(map(str, inputs)).encode()).hexdigest()[:32]

    def describe(self, spec: MachineSpec) -> SavedMachine:
        """What a machine of `spec` is on this host. Raises OSError."""

        from firkin.version import __version__

        def part(path: Path, version: str) -> Part:
            return Part(version, sha256_of(path, self.cache_dir))

        qemu = Path(self.vmm.qemu).resolve()
        return SavedMachine(
            accelerator=self.vmm.accelerator,
            cpu_model=self._cpu_model(spec),
            cpus=spec.cpus,
            memory_bytes=spec.memory_bytes,
            network=spec.network,
            cards=spec.cards,
            ready=spec.ready,
            disks=len(spec.disks),
            devices=spec.knobs.devices,
            qemu=part(qemu, version_of(qemu, self.cache_dir)),
            kernel=part(self.kernel.path, self.kernel.version),
            agent=part(self.agent, __version__),
        )

    def restored(self, saved: Saved, spec: MachineSpec) -> Restored:
        """The machine that was saved, on this host. Raises Misfit, OSError."""
        check_fit(saved, self.describe(spec))
        return self.fork_of(saved)

    def fork_of(self, saved: Saved, template_path: Path | None = None) -> Restored:
        """The machine that was saved, which is known to fit; it is of the template at `template_path`."""
        return Restored(stub_path(self.cache_dir), saved.memory_path, saved.state_path, template_path)

    def _cpu_model(self, spec: MachineSpec) -> str:
        model = cpu_model(self.vmm.accelerator, nested=spec.knobs.nested)
        return f"{model} ({_host_cpu()})" if self.vmm.accelerator == "kvm" else model


def _host_cpu() -> str:
    """The host's CPU, by name and features: what `-cpu host` shows to a guest."""
    wanted = {"model name", "flags"}
    facts = {}
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() in wanted:
                facts[name.strip()] = value.strip()
            if facts.keys() >= wanted:
                break
    features = hashlib.sha256(facts.get("flags", "").encode()).hexdigest()[:12]
    return f"{facts.get('model name', 'unknown')}, features {features}"
