"""Kernel modules as an initramfs wants them: in an order in which each finds what it needs, and plain.

The rule: a module that the kernel neither has built in nor installed is an error here, not a hang in the
machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from firkin.errors import Corrupt, HostUnsupported
from firkin.faults.machines import KERNEL_MODULES
from firkin.machine.decompress import decompress

MAX_MODULE_BYTES = 64 << 20
_SIGNATURE_MAGIC = b"~Module signature appended~\n"
_SIGNATURE_TAIL_BYTES = 12
_SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")


class Module(msgspec.Struct, frozen=True):
    """A module by its canonical name (underscores) and the file that holds it."""

    name: str
    path: Path


def canonical(name: str) -> str:
    """`virtio-rng.ko.xz` and `virtio_rng` are one module: its name as the kernel lists it."""
    base = os.path.basename(name)
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        base = base.removesuffix(suffix)
    return base.replace("-", "_")


def load_order(
    modules_dir: Path, wanted: Iterable[str], *, optional: Iterable[str] = ()
) -> tuple[Module, ...]:
    """The files to load so that all of `wanted` work: dependencies first, without what the kernel has built
    in.

    `optional` ones are left out when the kernel lacks them. Raises HostUnsupported for a wanted one that is
    missing, Corrupt when modules.dep cannot be understood.
    """
    dependencies = _parse_dep(_read(modules_dir / "modules.dep"))
    built_in = {canonical(line) for line in _read(modules_dir / "modules.builtin").splitlines()}
    paths = {canonical(path): path for path in dependencies}
    ordered: dict[str, Module] = {}
    may_lack = tuple(optional)
    for name in (*wanted, *may_lack):
        if name in paths:
            _append(name, paths, dependencies, modules_dir, ordered)
        elif name not in built_in and name not in may_lack:
            raise HostUnsupported(
                f"the kernel in {modules_dir} has no module {name}",
                hint=f"use a kernel with virtio support: {KERNEL_MODULES.hint()}",
            )
    return tuple(ordered.values())


def read_module(module: Module) -> bytes:
    """The module's ELF file, uncompressed and without its signature. Raises HostUnsupported, Corrupt.

    Distributions' kernels check signatures but do not demand them (CONFIG_MODULE_SIG_FORCE is off), and the
    check of RSA and SHA under TCG costs a machine time in each boot. Who could swap a module in our cache
    could as well swap the kernel beside it.
    """
    try:
        data = module.path.read_bytes()
    except OSError as error:
        raise HostUnsupported(
            f"cannot read kernel module {module.path}: {error.strerror}",
            hint=f"reinstall the kernel package, or get one with: {KERNEL_MODULES.hint()}",
        ) from error
    elf = decompress(data, limit_bytes=MAX_MODULE_BYTES, what=f"kernel module {module.path}")
    if not elf.startswith(b"\x7fELF"):
        raise Corrupt(f"kernel module {module.path} is not an ELF file")
    return without_signature(elf)


def without_signature(elf: bytes) -> bytes:
    """`elf` without the signature that scripts/sign-file appends (include/linux/module_signature.h)."""
    if not elf.endswith(_SIGNATURE_MAGIC):
        return elf
    tail = len(elf) - len(_SIGNATURE_MAGIC) - _SIGNATURE_TAIL_BYTES
    length = int.from_bytes(elf[tail + 8 : tail + 12], "big")
    return elf[: tail - length] if 0 <= length <= tail else elf


def _append(
    name: str,
    paths: Mapping[str, str],
    dependencies: Mapping[str, tuple[str, ...]],
    modules_dir: Path,
    ordered: dict[str, Module],
) -> None:
    """modules.dep lists all dependencies of a module, each before what it needs itself: so from the right."""
    for path in (*reversed(dependencies[paths[name]]), paths[name]):
        needed = canonical(path)
        ordered.setdefault(needed, Module(needed, modules_dir / path))


def _parse_dep(text: str) -> dict[str, tuple[str, ...]]:
    dependencies: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        path, colon, rest = line.partition(":")
        if not colon or path.startswith("/") or ".." in line:
            raise Corrupt(f"modules.dep has a line that is none: {line[:80]!r}", hint="run depmod as root")
        dependencies[path] = tuple(rest.split())
    return dependencies


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise HostUnsupported(
            f"cannot read {path}: {error.strerror}",
            hint=f"install the kernel's modules, or get a kernel with: {KERNEL_MODULES.hint()}",
        ) from error
