"""QEMU's command line as a plan: what is in it for which machine."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from firkin.errors import UsageError
from firkin.machine.origin import Cold
from firkin.machine.qemu.command import DiskFds, Inherited, command, kernel_cmdline
from firkin.machine.spec import Disk, MachineSpec, PublishedPort, Share

INHERITED = Inherited(kernel_fd=10, initramfs_fd=11, console_fds=(12, 13), agent_fd=14, qmp_fd=15)
COLD = Cold(Path("vmlinux"), Path("initramfs"), "quiet")
SPEC = MachineSpec(name="web", network="none")


def argv(spec: MachineSpec = SPEC, inherited: Inherited = INHERITED, accelerator: str = "tcg") -> list[str]:
    return command("/usr/bin/qemu", spec, inherited, accelerator, COLD)  # type: ignore[arg-type]


def values(of: str, words: list[str]) -> list[str]:
    return [words[index + 1] for index, word in enumerate(words) if word == of]


def test_every_machine_is_a_microvm_behind_qemus_sandbox() -> None:
    words = argv()
    assert words[0] == "/usr/bin/qemu"
    assert values("-machine", words) == ["microvm,memory-backend=ram"]
    (sandbox,) = values("-sandbox", words)
    assert set(sandbox.split(",")) == {
        "on",
        *(f"{each}=deny" for each in ("obsolete", "elevateprivileges", "spawn", "resourcecontrol")),
    }
    assert {"-nodefaults", "-no-user-config", "-no-reboot"} <= set(words)


def test_a_machine_without_network_has_neither_card_nor_backend() -> None:
    words = argv()
    assert "-netdev" not in words
    assert not [device for device in values("-device", words) if "net" in device]


def test_published_ports_are_forwarded_to_the_guests_address() -> None:
    ports = PublishedPort.parse("127.0.0.1:8080:80") + PublishedPort.parse("5353:53/udp")
    (netdev,) = values("-netdev", argv(msgspec.structs.replace(SPEC, network="user", ports=ports)))
    assert "hostfwd=tcp:127.0.0.1:8080-10.0.2.15:80" in netdev
    assert "hostfwd=udp:0.0.0.0:5353-10.0.2.15:53" in netdev
    assert "ipv6=off" in netdev


def test_without_published_ports_no_address_stands_for_the_hosts_loopback() -> None:
    (netdev,) = values("-netdev", argv(msgspec.structs.replace(SPEC, network="user")))
    assert "host=10.0.2.15," in netdev  # the guest's own, to which it cannot send


def test_an_ipv6_address_cannot_be_published_on() -> None:
    with pytest.raises(UsageError, match="::1"):
        argv(msgspec.structs.replace(SPEC, network="user", ports=PublishedPort.parse("[::1]:8080:80")))


def test_disks_come_as_descriptors_and_the_backing_is_read_only() -> None:
    disk = Disk(path=Path("/c/disk.qcow2"), format="qcow2", backing=Path("/r/image.ext4"))
    fds = Inherited(10, 11, (12, 13), 14, 15, disks=(DiskFds((20,), 21), DiskFds((22,))))
    raw = Disk(path=Path("/raw"), format="raw", readonly=True)
    words = argv(msgspec.structs.replace(SPEC, disks=(disk, raw)), fds)
    base, top, second = (json.loads(each) for each in values("-blockdev", words))
    assert "/c/disk.qcow2" not in " ".join(words)
    assert (base["driver"], base["read-only"]) == ("raw", True)
    assert top["backing"] == base["node-name"]
    assert second["read-only"] is True
    sets = dict(each.split(",set=") for each in values("-add-fd", words))
    assert top["file"]["filename"] == f"/dev/fdset/{sets['fd=20']}"
    assert base["file"]["filename"] == f"/dev/fdset/{sets['fd=21']}"
    drives = [device for device in values("-device", words) if device.startswith("virtio-blk")]
    assert drives == ["virtio-blk-device,drive=disk0", "virtio-blk-device,drive=disk1"]


def test_shares_need_memory_that_their_daemon_can_map() -> None:
    spec = msgspec.structs.replace(SPEC, shares=(Share(tag="s,0", source=Path("/src")),))
    words = argv(spec, Inherited(10, 11, (12, 13), 14, 15, shares=(30,)))
    assert any("memory-backend-memfd" in each and "share=on" in each for each in values("-object", words))
    assert "vhost-user-fs-device,chardev=share0,tag=s,,0" in values("-device", words)
    assert "-object" not in argv()


def test_a_comma_in_a_name_stays_in_the_name() -> None:
    assert values("-name", argv(msgspec.structs.replace(SPEC, name="a,b=c"))) == ["guest=a,,b=c"]


def test_memory_is_rounded_up_to_whole_mebibytes() -> None:
    assert values("-m", argv(msgspec.structs.replace(SPEC, memory_bytes=(100 << 20) + 1))) == ["101M"]


def test_the_host_cpu_is_shown_on_kvm_only() -> None:
    assert values("-cpu", argv(accelerator="kvm")) == ["host"]
    assert values("-cpu", argv(accelerator="tcg")) == ["max,erms=off,fsrm=off"]


def test_the_clock_is_told_to_a_guest_on_tcg_and_left_alone_on_kvm() -> None:
    assert "tsc_early_khz=2600000" in kernel_cmdline("tcg", tsc_khz=2600000).split()
    assert not [word for word in kernel_cmdline("kvm", tsc_khz=2600000).split() if "tsc" in word]
    assert "tsc_early_khz" not in kernel_cmdline("tcg")


def test_every_descriptor_that_is_named_is_inherited() -> None:
    fds = Inherited(10, 11, (12, 13), 14, 15, disks=(DiskFds((20,), 21),), shares=(30,), alive_fd=31)
    assert sorted(fds.all()) == [10, 11, 12, 13, 14, 15, 20, 21, 30, 31]
