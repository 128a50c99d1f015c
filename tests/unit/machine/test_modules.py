"""Kernel modules: order, forms and signatures, against kmod where it is there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from firkin.errors import Corrupt, HostUnsupported
from firkin.machine.modules import Module, canonical, load_order, read_module, without_signature

DEP = """\
kernel/virtio_ring.ko:
kernel/virtio.ko: kernel/virtio_ring.ko
kernel/net/virtio-net.ko.xz: kernel/net_failover.ko kernel/failover.ko kernel/virtio.ko kernel/virtio_ring.ko
kernel/net_failover.ko: kernel/failover.ko
kernel/failover.ko:
"""


@pytest.fixture
def modules_dir(tmp_path: Path) -> Path:
    (tmp_path / "modules.dep").write_text(DEP)
    (tmp_path / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
    return tmp_path


def names(modules: tuple[Module, ...]) -> list[str]:
    return [module.name for module in modules]


def test_every_module_comes_after_those_it_needs(modules_dir: Path) -> None:
    order = names(load_order(modules_dir, ["virtio_net"]))
    assert order == ["virtio_ring", "virtio", "failover", "net_failover", "virtio_net"]


def test_what_the_kernel_has_built_in_is_not_loaded(modules_dir: Path) -> None:
    assert names(load_order(modules_dir, ["ext4", "virtio"])) == ["virtio_ring", "virtio"]


def test_an_optional_module_may_be_missing(modules_dir: Path) -> None:
    assert names(load_order(modules_dir, ["virtio"], optional=["crc32c_generic"])) == [
        "virtio_ring",
        "virtio",
    ]


def test_a_wanted_module_that_is_nowhere_is_an_error_that_names_it(modules_dir: Path) -> None:
    with pytest.raises(HostUnsupported, match="no module virtio_mmio"):
        load_order(modules_dir, ["virtio_mmio"])


def test_a_kernel_without_modules_dep_is_an_error_that_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(HostUnsupported, match=r"modules\.dep") as caught:
        load_order(tmp_path, ["virtio"])
    assert "firkin kernel install" in caught.value.hint


@pytest.mark.parametrize("line", ["/etc/shadow:\n", "../../x.ko:\n", "no colon\n"])
def test_a_modules_dep_that_leaves_its_directory_is_corrupt(modules_dir: Path, line: str) -> None:
    (modules_dir / "modules.dep").write_text(line)
    with pytest.raises(Corrupt):
        load_order(modules_dir, ["virtio"])


def test_the_order_of_this_hosts_kernel_is_modprobes() -> None:
    directories = sorted(Path("/lib/modules").glob("*-cloud-amd64"))
    if not directories:
        pytest.skip("needs linux-image-cloud-amd64")
    ours = names(load_order(directories[0], ["virtio_net"]))
    assert sorted(ours) == sorted(modprobes(directories[0].name, "virtio_net"))
    for number, name in enumerate(ours):
        assert set(modprobes(directories[0].name, name)) <= set(ours[: number + 1])


def modprobes(version: str, module: str) -> list[str]:
    """What modprobe would load for `module`, in its order."""
    argv = ["/usr/sbin/modprobe", "--set-version", version, "--show-depends", module]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return [canonical(line.split()[1]) for line in shown.splitlines() if line.startswith("insmod")]


def test_a_packed_module_is_unpacked_and_its_signature_left_out(tmp_path: Path) -> None:
    elf = b"\x7fELF" + b"code" * 100
    signature = b"s" * 50
    signed = elf + signature + bytes(8) + len(signature).to_bytes(4, "big") + b"~Module signature appended~\n"
    path = tmp_path / "virtio.ko.xz"
    path.write_bytes(subprocess.run(["xz", "-c"], input=signed, capture_output=True, check=True).stdout)
    assert read_module(Module("virtio", path)) == elf


def test_a_signature_longer_than_its_file_is_left_alone() -> None:
    strange = b"\x7fELF" + bytes(8) + (1000).to_bytes(4, "big") + b"~Module signature appended~\n"
    assert without_signature(strange) == strange


def test_a_module_that_is_no_elf_file_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "virtio.ko").write_text("#!/bin/sh")
    with pytest.raises(Corrupt, match=r"virtio\.ko"):
        read_module(Module("virtio", tmp_path / "virtio.ko"))
