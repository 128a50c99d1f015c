"""The overlay writer, with QEMU's own tools as the judge."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from firkin.errors import HostUnsupported, UsageError
from firkin.machine import create_overlay

MIB = 1 << 20


@pytest.fixture
def backing(tmp_path: Path) -> Path:
    path = tmp_path / "base.raw"
    path.write_bytes(b"base" * (MIB // 4))
    return path


def qemu_img(*args: str | Path) -> str:
    return subprocess.run(["qemu-img", *args], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("size_bytes", [MIB, 10 << 30, (10 << 30) + 1, 1 << 40, 1 << 50])
def test_qemu_finds_the_overlay_whole_and_of_the_size_asked_for(
    backing: Path, tmp_path: Path, size_bytes: int
) -> None:
    overlay = tmp_path / "disk.qcow2"
    create_overlay(overlay, backing, size_bytes)
    assert "No errors were found" in qemu_img("check", overlay)
    info = json.loads(qemu_img("info", "--output=json", overlay))
    assert info["virtual-size"] == -(-size_bytes // 65536) * 65536
    assert info["full-backing-filename"] == str(backing)
    assert info["backing-filename-format"] == "raw"


def test_reads_fall_through_and_writes_stay_in_the_overlay(backing: Path, tmp_path: Path) -> None:
    overlay, before = tmp_path / "disk.qcow2", backing.read_bytes()
    create_overlay(overlay, backing, 16 * MIB)
    steps = ["read -P 0 1M 1M", "write -P 7 0 64k", "write -P 8 12M 64k", "read -P 7 0 64k"]
    commands = [word for step in steps for word in ("-c", step)]
    output = subprocess.run(
        ["qemu-io", *commands, overlay], check=True, capture_output=True, text=True
    ).stdout
    assert "Pattern verification failed" not in output
    assert "No errors were found" in qemu_img("check", overlay)
    assert backing.read_bytes() == before


def test_an_empty_overlay_takes_next_to_no_room(backing: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "disk.qcow2"
    create_overlay(overlay, backing, 10 << 30)
    assert overlay.stat().st_blocks * 512 <= 64 << 10


def test_an_overlay_smaller_than_its_image_is_refused(backing: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        create_overlay(tmp_path / "disk.qcow2", backing, MIB - 1)
    assert not (tmp_path / "disk.qcow2").exists()


def test_an_existing_disk_is_never_overwritten(backing: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "disk.qcow2"
    overlay.write_text("mine")
    with pytest.raises(HostUnsupported, match=r"disk\.qcow2"):
        create_overlay(overlay, backing, MIB)
    assert overlay.read_text() == "mine"
