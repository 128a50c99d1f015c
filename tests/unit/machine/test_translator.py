"""Translators: which emulator is taken, and how the kernel knows an architecture's programs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from firkin.errors import HostUnsupported, UsageError
from firkin.machine.translator import find, listed
from tests.support.arm64 import program


def matches(line: bytes, head: bytes) -> bool:
    """As fs/binfmt_misc.c compares."""
    magic, mask = (
        bytes.fromhex(field.replace("\\x", "")) for field in line.decode().split(" ")[1].split(":")
    )
    pairs = zip(magic, head[: len(magic)], mask, strict=True)
    return all((a ^ b) & m == 0 for a, b, m in pairs)


def test_a_program_of_the_architecture_is_known_and_no_other() -> None:
    arm64, s390x = listed(["arm64", "s390x"]).splitlines()
    assert arm64.startswith(b"arm64 ")
    assert matches(arm64, program()[:128])
    position_independent = program()[:16] + b"\x03" + program()[17:128]
    assert matches(arm64, position_independent)
    assert not matches(s390x, program()[:128])
    assert not matches(arm64, Path("/proc/self/exe").read_bytes()[:128])
    relocatable = program()[:16] + b"\x01" + program()[17:128]
    assert not matches(arm64, relocatable)


def test_the_emulator_has_to_be_static(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/a:{tmp_path}/b")
    with pytest.raises(HostUnsupported, match="no static qemu-riscv64-static in PATH") as caught:
        find("riscv64")
    assert "apt install qemu-user-static" in caught.value.hint
    shutil.copy("/bin/true", tmp_path / "a" / "qemu-riscv64-static")
    with pytest.raises(HostUnsupported):
        find("riscv64")
    static = tmp_path / "b" / "qemu-riscv64"
    static.write_bytes(program())
    static.chmod(0o755)
    assert find("riscv64") == static


@pytest.mark.parametrize("architecture", ["386", "../../bin/sh", ""])
def test_an_architecture_that_nothing_translates_is_refused(architecture: str) -> None:
    with pytest.raises(UsageError, match="cannot be translated"):
        find(architecture)
