"""What this host has to have for a machine's knobs, looked at before anything starts."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from firkin.errors import HostUnsupported, UsageError
from firkin.machine.spec import MachineSpec

HUGEPAGE_BYTES = 2 << 20
MAX_INITRAMFS_BYTES = 256 << 20
_HUGEPAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
_KVM_MODULES = Path("/sys/module")
_MAGICS = {
    b"0707": "cpio",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x02\x21\x4c\x18": "lz4",
    b"BZh": "bzip2",
    b"\x5d\x00\x00": "lzma",
}
"""How the archives begin that Linux unpacks (lib/decompress.c)."""


def check_knobs(spec: MachineSpec) -> None:
    """Refuse what the knobs of `spec` ask for in vain. Raises UsageError, HostUnsupported."""
    knobs = spec.knobs
    if knobs.initramfs:
        check_initramfs(knobs.initramfs, spec.memory_bytes)
    if knobs.boot_log:
        check_boot_log(knobs.boot_log)
    if knobs.hugepages:
        _check_hugepages(spec.memory_bytes)
    if knobs.nested:
        nested_module()


def check_initramfs(path: str, memory_bytes: int | None) -> None:
    """Refuse what no kernel would unpack, or what would not fit. Raises UsageError."""
    try:
        with open(path, "rb") as file:
            head, size_bytes = file.read(8), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise UsageError(f"initramfs: cannot read {path}: {error.strerror}", hint="mend the path") from error
    if not any(head.startswith(magic) for magic in _MAGICS):
        raise UsageError(
            f"initramfs: {path} is not an archive that a kernel unpacks",
            hint=f"make one with cpio -H newc; it may be compressed: {', '.join(_MAGICS.values())}",
        )
    most = min(MAX_INITRAMFS_BYTES, MAX_INITRAMFS_BYTES if memory_bytes is None else memory_bytes // 4)
    if size_bytes > most:
        raise UsageError(
            f"initramfs: {path} has {size_bytes} bytes, more than {most}, a quarter of the machine's memory "
            f"and at most {MAX_INITRAMFS_BYTES >> 20} MiB",
            hint="give the machine more --memory, or let the archive have less in it",
        )


def check_boot_log(path: str) -> None:
    """Refuse a file that cannot be written. Raises UsageError."""
    if path == "-":
        return
    directory = os.path.dirname(path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        if not os.access(directory, os.W_OK | os.X_OK):
            raise UsageError(
                f"boot_log: no file can be made in {directory}", hint="name one in a directory of your own"
            ) from None
        return
    except OSError as error:
        raise UsageError(f"boot_log: {path}: {error.strerror}", hint="mend the path") from error
    if not stat.S_ISREG(mode) or not os.access(path, os.W_OK):
        raise UsageError(f"boot_log: {path} is not a file that you may write", hint="name another")


def nested_module() -> str:
    """The module of this host's KVM that lets guests run machines. Raises HostUnsupported."""
    for name in ("kvm_intel", "kvm_amd"):
        parameter = _KVM_MODULES / name / "parameters" / "nested"
        try:
            if parameter.read_text().strip() in ("Y", "1"):
                return name
        except OSError:
            continue
        raise HostUnsupported(
            f"nested: this host's {name} does not let its guests run machines ({parameter})",
            hint=f"echo 'options {name} nested=1' | sudo tee /etc/modprobe.d/nested.conf, and load it anew",
        )
    raise HostUnsupported(
        "nested: this host has no KVM, and under TCG a machine in a machine would be translated twice",
        hint="leave out --nested, or use a host with KVM: firkin doctor",
    )


def refuse_nested(name: str, reason: str) -> None:
    """Raise the HostUnsupported for machine `name`, which does not run on KVM for `reason`."""
    raise HostUnsupported(
        f"nested: machine {name!r} would not run on KVM" + (f": {reason}" if reason else ""),
        hint="leave out --nested, or let it run on KVM: firkin doctor",
    )


def check_whole_pages(memory_bytes: int) -> None:
    """Refuse a memory that huge pages do not make up. Raises UsageError."""
    if memory_bytes % HUGEPAGE_BYTES:
        raise UsageError(
            f"hugepages: {memory_bytes} bytes of memory are no whole number of huge pages",
            hint="give a --memory in steps of 2m",
        )


def _check_hugepages(memory_bytes: int) -> None:
    check_whole_pages(memory_bytes)
    needed = memory_bytes // HUGEPAGE_BYTES
    free, total = (_number_of(_HUGEPAGES / name) for name in ("free_hugepages", "nr_hugepages"))
    if free < needed:
        raise HostUnsupported(
            f"hugepages: {needed} pages of 2 MiB are needed, and this host has {free} free",
            hint=f"sudo sysctl vm.nr_hugepages={total + needed - free}; or leave out --hugepages",
        )


def _number_of(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
