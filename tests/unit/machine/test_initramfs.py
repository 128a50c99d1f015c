"""The initramfs: what is in it, and when it is made anew."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firkin.machine.initramfs import Contents, initramfs_path
from firkin.machine.kernel import Kernel

DEP = """\
kernel/virtio_ring.ko:
kernel/virtio.ko: kernel/virtio_ring.ko
kernel/virtio_mmio.ko: kernel/virtio.ko kernel/virtio_ring.ko
kernel/virtio_blk.ko: kernel/virtio.ko kernel/virtio_ring.ko
kernel/virtio_console.ko: kernel/virtio.ko kernel/virtio_ring.ko
kernel/virtio_net.ko: kernel/failover.ko kernel/virtio.ko kernel/virtio_ring.ko
kernel/failover.ko:
kernel/fuse.ko:
kernel/virtiofs.ko: kernel/fuse.ko
"""


@pytest.fixture
def contents(tmp_path: Path) -> Contents:
    modules = tmp_path / "modules"
    (modules / "kernel").mkdir(parents=True)
    (modules / "modules.dep").write_text(DEP)
    (modules / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
    for line in DEP.splitlines():
        (modules / line.partition(":")[0]).write_bytes(b"\x7fELF" + line.encode())
    agent = tmp_path / "agent"
    agent.write_bytes(b"agent")
    return Contents(
        agent, Kernel(tmp_path / "vmlinuz", "6.1", modules, "setting"), network=False, shares=False
    )


def unpacked(path: Path, tmp_path: Path) -> Path:
    root = tmp_path / f"root-{path.name}"
    root.mkdir()
    with path.open("rb") as archive:
        subprocess.run(["cpio", "-id", "--quiet"], cwd=root, stdin=archive, check=True)
    return root


def with_(contents: Contents, *, network: bool = False, shares: bool = False) -> Contents:
    return Contents(contents.agent, contents.kernel, network=network, shares=shares)


def test_it_holds_the_agent_and_the_modules_in_the_order_of_its_list(
    contents: Contents, tmp_path: Path
) -> None:
    root = unpacked(initramfs_path(contents, tmp_path / "cache"), tmp_path)
    assert (root / "init").read_bytes() == b"agent"
    assert os.access(root / "init", os.X_OK)
    listed = (root / "modules.list").read_text().split()
    assert listed == ["virtio_ring", "virtio", "virtio_mmio", "virtio_blk", "virtio_console"]
    assert sorted(os.listdir(root / "modules")) == sorted(f"{name}.ko" for name in listed)


def test_network_and_shares_bring_their_modules_and_nothing_else_does(
    contents: Contents, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    plain = set((unpacked(initramfs_path(contents, cache), tmp_path) / "modules.list").read_text().split())
    for more, added in (
        ({"network": True}, {"virtio_net", "failover"}),
        ({"shares": True}, {"virtiofs", "fuse"}),
    ):
        root = unpacked(initramfs_path(with_(contents, **more), cache), tmp_path)
        assert set((root / "modules.list").read_text().split()) - plain == added


def test_it_is_made_once_and_again_when_the_agent_changes(contents: Contents, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = initramfs_path(contents, cache)
    made = first.stat().st_mtime_ns
    assert initramfs_path(contents, cache) == first
    assert first.stat().st_mtime_ns == made
    contents.agent.write_bytes(b"another agent")
    second = initramfs_path(contents, cache)
    assert second != first
    assert (unpacked(second, tmp_path) / "init").read_bytes() == b"another agent"


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """The names of the files that this process opens in the block."""
    opened: list[str] = []
    listening = True

    def hear(name: str, arguments: tuple[object, ...]) -> None:
        if listening and name == "open":
            opened.append(str(arguments[0]))

    sys.addaudithook(hear)  # which cannot be taken away again
    try:
        yield opened
    finally:
        listening = False


def test_a_second_use_reads_and_hashes_no_file(contents: Contents, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with opened_files() as opened:
        first = initramfs_path(contents, cache)
    assert str(contents.agent) in opened
    with opened_files() as opened:
        assert initramfs_path(contents, cache) == first
    assert opened == []
