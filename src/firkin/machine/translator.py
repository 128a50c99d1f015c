"""Translators: QEMU's user-mode emulators, by which a machine runs programs of another architecture.

    /translators/arm64      the emulator, static, in the initramfs
    /translators.list       `arm64 MAGIC:MASK`, what binfmt_misc knows its programs by; the agent registers it

The kernel opens an emulator when it is registered, so that no container needs to have it, or sees it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from firkin.errors import HostUnsupported, UsageError


class _Elf(NamedTuple):
    """How programs of an architecture begin (elf.h), and what QEMU calls it."""

    qemu: str
    machine: int
    order: Literal["little", "big"] = "little"
    bits: Literal[32, 64] = 64


ARCHITECTURES = {
    "arm64": _Elf("aarch64", 183),
    "arm": _Elf("arm", 40, bits=32),
    "riscv64": _Elf("riscv64", 243),
    "s390x": _Elf("s390x", 22, "big"),
    "ppc64le": _Elf("ppc64le", 21),
    "mips64le": _Elf("mips64el", 8),
    "loong64": _Elf("loongarch64", 258),
}
"""By the words of OCI's platforms."""

_HEAD_BYTES = 4096
_PT_INTERP = 3


def find(architecture: str, places: Sequence[str] | None = None) -> Path:
    """The emulator of this host for programs of `architecture`, in `places` or else in PATH.

    Raises HostUnsupported, UsageError.
    """
    elf = ARCHITECTURES.get(architecture)
    if elf is None:
        known = ", ".join(ARCHITECTURES)
        raise UsageError(
            f"programs of {architecture} cannot be translated", hint=f"choose a platform of {known}"
        )
    names = (f"qemu-{elf.qemu}-static", f"qemu-{elf.qemu}")
    searched = os.get_exec_path() if places is None else places
    candidates = (Path(each) / name for name in names for each in searched)
    found = next((path for path in candidates if os.access(path, os.X_OK) and _is_static(path)), None)
    if found is None:
        from firkin.faults.machines import EMULATOR_MISSING

        raise HostUnsupported(
            f"programs of {architecture} want translation, and there is no static {names[0]} in PATH",
            hint=f"{EMULATOR_MISSING.hint()}; or choose a platform that this host runs",
        )
    return found


def listed(architectures: Iterable[str]) -> bytes:
    """The list for the agent."""
    return b"".join(f"{each} {_pattern(ARCHITECTURES[each])}\n".encode() for each in architectures)


def _pattern(elf: _Elf) -> str:
    """Of executables (ET_EXEC, ET_DYN), whatever their OS ABI."""
    head = b"\x7fELF" + bytes((elf.bits // 32, 1 if elf.order == "little" else 2, 1)) + bytes(9)
    executable, machine = ((2).to_bytes(2, elf.order), elf.machine.to_bytes(2, elf.order))
    mask = b"\xff" * 7 + b"\0" + b"\xff" * 8 + (0xFFFE).to_bytes(2, elf.order) + b"\xff\xff"
    return f"{_escaped(head + executable + machine)}:{_escaped(mask)}"


def _escaped(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


def _is_static(path: Path) -> bool:
    """Whether it is a 64-bit ELF file that asks for no interpreter, which no container would have."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    if len(head) < 64 or not head.startswith(b"\x7fELF\x02\x01"):
        return False
    first, size, count = (int.from_bytes(head[a:b], "little") for a, b in ((32, 40), (54, 56), (56, 58)))
    kinds = (head[at : at + 4] for at in range(first, first + size * count, size or 1))
    return size > 0 and all(len(kind) == 4 and int.from_bytes(kind, "little") != _PT_INTERP for kind in kinds)
