"""QEMU's command line as a plan: what is in it for which machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firkin.errors import UsageError
from firkin.machine.origin import Cold, Mirror, Origin, Restored
from firkin.machine.qemu.command import Accelerator, DiskFds, Inherited, command, kernel_cmdline
from firkin.machine.spec import Disk, MachineSpec, PublishedPort, Share

INHERITED = Inherited(kernel_fd=10, console_fds=(12, 13), agent_fd=14, qmp_fd=15, initramfs_fd=11)
COLD = Cold(Path("vmlinux"), Path("initramfs"), "quiet")
SPEC = MachineSpec(name="web", network="none")


def argv(
    spec: MachineSpec = SPEC,
    inherited: Inherited = INHERITED,
    accelerator: Accelerator = "tcg",
    origin: Origin = COLD,
) -> list[str]:
    return command("/usr/bin/qemu", spec, inherited, accelerator, origin)


def with_fds(**more: Any) -> Inherited:
    return msgspec.structs.replace(INHERITED, **more)


def values(of: str, words: list[str]) -> list[str]:
    return [words[index + 1] for index, word in enumerate(words) if word == of]


def memory_of(words: list[str]) -> str:
    (memory,) = (each for each in values("-object", words) if "memory" in each)
    return memory


def test_every_machine_is_a_microvm_behind_qemus_sandbox() -> None:
    words = argv()
    assert words[0] == "/usr/bin/qemu"
    assert values("-machine", words) == ["microvm,memory-backend=ram,suppress-vmdesc=on"]
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


def test_ipv6_is_on_where_it_was_asked_for() -> None:
    (netdev,) = values("-netdev", argv(msgspec.structs.replace(SPEC, network="user", ipv6=True)))
    assert "ipv6=on,ipv6-net=fec0::/64,ipv6-host=fec0::2,ipv6-dns=fec0::3" in netdev


def test_cards_of_private_networks_listen_behind_that_which_leads_outside() -> None:
    words = argv(msgspec.structs.replace(SPEC, network="user", cards=2), with_fds(cards=(40, 41)))
    assert values("-netdev", words)[1:] == [
        f"stream,id=card{number},server=on,addr.type=fd,addr.str={fd}" for number, fd in ((1, 40), (2, 41))
    ]
    cards = [each.split(",")[1] for each in values("-device", words) if each.startswith("virtio-net")]
    assert cards == ["netdev=net0", "netdev=card1", "netdev=card2"]


def test_an_ipv6_address_cannot_be_published_on() -> None:
    with pytest.raises(UsageError, match="::1"):
        argv(msgspec.structs.replace(SPEC, network="user", ports=PublishedPort.parse("[::1]:8080:80")))


def test_disks_come_as_descriptors_and_the_backing_is_read_only() -> None:
    disk = Disk(path=Path("/c/disk.qcow2"), format="qcow2", backing=Path("/r/image.ext4"))
    fds = with_fds(disks=(DiskFds(20, base=21), DiskFds(22)))
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
    words = argv(spec, with_fds(shares=(30,)))
    assert memory_of(words) == "memory-backend-memfd,share=on,id=ram,size=256M"
    assert "vhost-user-fs-device,chardev=share0,tag=s,,0" in values("-device", words)
    assert memory_of(argv()) == "memory-backend-ram,share=off,id=ram,size=256M"


def test_a_comma_in_a_name_stays_in_the_name() -> None:
    assert values("-name", argv(msgspec.structs.replace(SPEC, name="a,b=c"))) == ["guest=a,,b=c"]


def test_memory_is_rounded_up_to_whole_mebibytes() -> None:
    assert values("-m", argv(msgspec.structs.replace(SPEC, memory_bytes=(100 << 20) + 1))) == ["101M"]


def test_the_host_cpu_is_shown_on_kvm_only() -> None:
    assert values("-cpu", argv(accelerator="kvm")) == ["host,vmx=off,svm=off"]
    assert values("-cpu", argv(accelerator="tcg")) == ["max,erms=off,fsrm=off"]


def test_the_clock_is_told_to_a_guest_on_tcg_and_left_alone_on_kvm() -> None:
    assert "tsc_early_khz=2600000" in kernel_cmdline("tcg", tsc_khz=2600000).split()
    assert not [word for word in kernel_cmdline("kvm", tsc_khz=2600000).split() if "tsc" in word]
    assert "tsc_early_khz" not in kernel_cmdline("tcg")


def test_an_agent_is_told_of_more_cards_than_the_one_that_it_begins_with_anyway() -> None:
    assert kernel_cmdline("kvm", cards=3).endswith(" -- cards=3")
    assert [kernel_cmdline("kvm", cards=each) for each in (0, 1)] == [kernel_cmdline("kvm")] * 2


def test_every_descriptor_that_is_named_is_inherited() -> None:
    disk = DiskFds(20, layers=(21, 22), base=23)
    fds = with_fds(disks=(disk,), shares=(30,), state_fd=16, memory_fd=17, alive_fd=31)
    # The memory is none of them: it becomes the standard input.
    assert sorted(fds.all()) == [10, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23, 30, 31]


def test_layers_lie_between_the_top_and_the_image_and_are_read_only() -> None:
    disk = Disk(path=Path("/top"), format="qcow2", layers=(Path("/next"), Path("/last")), backing=Path("/r"))
    fds = with_fds(disks=(DiskFds(20, layers=(21, 22), base=23),))
    words = argv(msgspec.structs.replace(SPEC, disks=(disk,)), fds)
    nodes = {node["node-name"]: node for node in map(json.loads, values("-blockdev", words))}
    sets = dict(each.split(",set=") for each in values("-add-fd", words))
    below: str | None = "disk0"
    for fd in (20, 21, 22, 23):
        assert below is not None
        node = nodes.pop(below)
        assert node["file"]["filename"] == f"/dev/fdset/{sets[f'fd={fd}']}"
        assert node["read-only"] is node["file"]["read-only"] is (fd != 20)
        below = node.get("backing")
    assert (below, nodes) == (None, {})


def test_a_disk_that_names_no_image_follows_no_name_in_its_header() -> None:
    """Left out, QEMU would open what the qcow2 file names: this must be said."""
    words = argv(
        msgspec.structs.replace(SPEC, disks=(Disk(path=Path("/top"), format="qcow2"),)),
        with_fds(disks=(DiskFds(20),)),
    )
    (top,) = (json.loads(each) for each in values("-blockdev", words))
    assert "backing" in top
    assert top["backing"] is None


RESTORED = Restored(Path("stub"), Path("memory"), Path("state"))
WAITING = msgspec.structs.replace(INHERITED, initramfs_fd=None, memory_fd=17)


def test_a_fork_maps_its_standard_input_privately_and_waits_to_be_told() -> None:
    words = argv(inherited=msgspec.structs.replace(WAITING, state_fd=16), origin=RESTORED)
    assert memory_of(words) == "memory-backend-file,mem-path=/dev/stdin/.,share=off,align=2M,id=ram,size=256M"
    assert values("-incoming", words) == ["defer"]
    assert values("-kernel", words) == ["/proc/self/fd/10"]
    assert not {"-append", "-initrd", "-S"} & set(words)


def test_a_mirror_keeps_what_it_receives_and_never_runs() -> None:
    words = argv(inherited=WAITING, origin=Mirror(Path("stub"), Path("memory")))
    assert memory_of(words).startswith("memory-backend-file,mem-path=/dev/stdin/.,share=on")
    assert "-S" in words


def test_a_template_keeps_its_memory_and_its_card_leads_nowhere() -> None:
    spec = msgspec.structs.replace(SPEC, network="user")
    origin = Cold(Path("vmlinux"), Path("initramfs"), "quiet", memory_path=Path("memory"))
    words = argv(spec, msgspec.structs.replace(INHERITED, memory_fd=17), origin=origin)
    assert memory_of(words).startswith("memory-backend-file,mem-path=/dev/stdin/.,share=on")
    assert values("-netdev", words) == ["hubport,id=net0,hubid=0"]
    assert "hubport" not in " ".join(argv(spec, WAITING, origin=RESTORED))


def test_a_fork_has_the_devices_of_its_template_in_the_same_order() -> None:
    """Else what the template's guest knows would be somebody else's, or QEMU would refuse the state."""
    disk = Disk(path=Path("/top"), format="qcow2", backing=Path("/r"))
    blank = Disk(path=Path("/dev/null"), format="null", size_bytes=8 << 40)
    user = msgspec.structs.replace(SPEC, network="user")
    template = argv(
        msgspec.structs.replace(user, disks=(blank,)),
        msgspec.structs.replace(INHERITED, memory_fd=17, disks=(DiskFds(20),)),
        origin=Cold(Path("vmlinux"), Path("initramfs"), "quiet", memory_path=Path("memory")),
    )
    fork = argv(
        msgspec.structs.replace(user, disks=(disk,), ports=PublishedPort.parse("8080:80")),
        msgspec.structs.replace(WAITING, state_fd=16, disks=(DiskFds(20, base=21),)),
        origin=RESTORED,
    )
    for option in ("-device", "-machine", "-cpu", "-smp", "-m", "-accel", "-serial"):
        assert values(option, template) == values(option, fork)
