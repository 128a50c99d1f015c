"""The stub that stands for a kernel where a machine is received."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from firkin.machine.stub import build, stub_path

QUIT = b'{"execute":"qmp_capabilities"}{"execute":"query-status"}{"execute":"quit"}'


def test_it_is_one_page_and_made_once(tmp_path: Path) -> None:
    path = stub_path(tmp_path)
    assert path.read_bytes() == build()
    assert len(build()) == 4096
    before = path.stat()
    assert stub_path(tmp_path) == path
    assert path.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.machine
@pytest.mark.parametrize("incoming", [(), ("-incoming", "defer")], ids=["booted", "received"])
def test_qemu_takes_it_for_a_kernel(tmp_path: Path, incoming: tuple[str, ...]) -> None:
    qemu = shutil.which(os.environ.get("FIRKIN_QEMU", "qemu-system-x86_64"))
    assert qemu is not None
    board = ("-nodefaults", "-no-user-config", "-display", "none", "-M", "microvm", "-accel", "tcg", "-S")
    argv = [qemu, *board, "-kernel", str(stub_path(tmp_path)), *incoming, "-qmp", "stdio"]
    done = subprocess.run(argv, input=QUIT, capture_output=True, timeout=60, check=True)
    assert done.stderr == b""
    status = json.loads(done.stdout.splitlines()[2])["return"]["status"]
    assert status == ("inmigrate" if incoming else "prelaunch")


@pytest.mark.skipif(shutil.which("readelf") is None, reason="needs readelf: apt install binutils")
def test_readelf_finds_a_segment_and_a_xen_note_with_its_entry(tmp_path: Path) -> None:
    argv = ["readelf", "--file-header", "--segments", "--notes", "--wide", stub_path(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "Entry point address:               0x100000" in done.stdout
    assert "LOAD           0x000200 0x0000000000100000 0x0000000000100000" in done.stdout
    assert "Xen" in done.stdout
