"""Machine knobs: what is refused before anything starts, and how the rest reaches the machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firkin.errors import HostUnsupported, UsageError
from firkin.events import Event, subscribed
from firkin.machine import boot_log as boot_log_module
from firkin.machine import knob_checks
from firkin.machine.boot_log import BootLog
from firkin.machine.knobs import Knobs, check_kernel_args
from firkin.machine.qemu.command import kernel_cmdline
from firkin.machine.spec import MachineSpec, Share
from firkin.machine.template import why_not
from firkin.settings import Settings
from tests.unit.machine.test_qemu_command import SPEC, argv, memory_of, values, with_fds


def spec_with(**knobs: Any) -> MachineSpec:
    return msgspec.structs.replace(SPEC, knobs=Knobs(**knobs))


# --- the command line


def test_an_entropy_device_is_fed_by_qemu_itself_and_opens_no_file() -> None:
    words = argv(spec_with(entropy=True))
    assert "rng-builtin,id=entropy" in values("-object", words)
    assert values("-device", words)[-1] == "virtio-rng-device,rng=entropy"


def test_a_balloon_tells_of_freed_pages_and_is_behind_the_other_devices() -> None:
    words = argv(spec_with(entropy=True, balloon=True))
    assert values("-device", words)[-1].startswith("virtio-balloon-device,id=balloon,free-page-reporting=on")


def test_no_device_is_there_that_was_not_asked_for() -> None:
    assert not [each for each in values("-device", argv()) if "rng" in each or "balloon" in each]


@pytest.mark.parametrize(("shares", "sharing"), [((), "off"), ((Share(tag="s", source=Path("/s")),), "on")])
def test_huge_pages_are_all_taken_at_the_start(shares: tuple[Share, ...], sharing: str) -> None:
    spec = msgspec.structs.replace(spec_with(hugepages=True), shares=shares)
    memory = memory_of(argv(spec, with_fds(shares=(30,) * len(shares))))
    assert memory.startswith(
        f"memory-backend-memfd,hugetlb=on,hugetlbsize=2M,prealloc=on,share={sharing},id=ram"
    )


def test_only_who_asks_for_nested_machines_has_the_processors_feature() -> None:
    assert values("-cpu", argv(accelerator="kvm")) == ["host,vmx=off,svm=off"]
    assert values("-cpu", argv(spec_with(nested=True), accelerator="kvm")) == ["host"]


def test_kernel_args_come_last_and_a_boot_log_makes_the_kernel_speak() -> None:
    plain = kernel_cmdline("tcg").split()
    assert plain[0] == "quiet"
    told = kernel_cmdline("tcg", Knobs(kernel_args=("a=1", "b"), boot_log="/log")).split()
    assert told == [*plain[1:], "a=1", "b"]


@pytest.mark.parametrize(
    "knobs",
    [
        {"kernel": "/k"},
        {"initramfs": "/i"},
        {"kernel_args": ("a",)},
        {"boot_log": "/l"},
        {"nested": True},
        {"hugepages": True},
        {"balloon": True},
    ],
)
def test_what_a_template_cannot_hold_boots_with_a_reason(knobs: dict[str, Any], settings: Settings) -> None:
    assert why_not(spec_with(**knobs), settings)


# --- what is refused


@pytest.mark.parametrize(
    "arg",
    ["", "a b", "a\tb", "a\0", "--", 'a="b"', "é", "a\n", "init=/bin/sh", "rdinit=/x", "console=tty0",
     "mem=1G", "maxcpus=1", "nr-cpus=1", "panic=5", "noapic", "acpi=off", "root=/dev/vda"],
)  # fmt: skip
def test_a_kernel_arg_that_would_break_the_machine_is_refused(arg: str) -> None:
    with pytest.raises(UsageError, match="kernel_arg"):
        check_kernel_args((arg,))


def test_kernel_args_are_bounded() -> None:
    check_kernel_args(("loglevel=7", "initcall_debug", "mitigations=auto", "a.b=c,d:e/f"))
    with pytest.raises(UsageError, match="more than"):
        check_kernel_args(("a" * 1024,))
    with pytest.raises(UsageError, match="more than"):
        check_kernel_args(("a",) * 33)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"0606 not the format"])
def test_an_initramfs_that_no_kernel_unpacks_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "archive").write_bytes(content)
    with pytest.raises(UsageError, match="initramfs"):
        knob_checks.check_initramfs(str(tmp_path / "archive"), None)


def test_an_initramfs_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(b"070701")
    knob_checks.check_initramfs(str(archive), 64 << 20)
    os.truncate(archive, 17 << 20)
    knob_checks.check_initramfs(str(archive), 128 << 20)
    with pytest.raises(UsageError, match="a quarter"):
        knob_checks.check_initramfs(str(archive), 64 << 20)


def test_huge_pages_that_are_not_free_are_refused_with_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = tmp_path / "free_hugepages"
    (tmp_path / "nr_hugepages").write_text("7\n")
    monkeypatch.setattr(knob_checks, "_HUGEPAGES", tmp_path)
    with pytest.raises(
        HostUnsupported, match="128 pages of 2 MiB are needed, and this host has 0 free"
    ) as caught:
        knob_checks.check_knobs(spec_with(hugepages=True))
    assert "sysctl vm.nr_hugepages=135;" in caught.value.hint
    free.write_text("128\n")
    knob_checks.check_knobs(spec_with(hugepages=True))
    with pytest.raises(UsageError, match="whole number"):
        knob_checks.check_knobs(msgspec.structs.replace(spec_with(hugepages=True), memory_bytes=(129 << 20)))


@pytest.mark.parametrize("module", ["kvm_intel", "kvm_amd"])
def test_nested_machines_need_a_kvm_that_lets_guests_run_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setattr(knob_checks, "_KVM_MODULES", tmp_path)
    with pytest.raises(HostUnsupported, match="no KVM"):
        knob_checks.nested_module()
    parameter = tmp_path / module / "parameters" / "nested"
    parameter.parent.mkdir(parents=True)
    parameter.write_text("N\n")
    with pytest.raises(HostUnsupported, match=module) as caught:
        knob_checks.nested_module()
    assert "nested=1" in caught.value.hint
    for yes in ("Y\n", "1\n"):
        parameter.write_text(yes)
        assert knob_checks.nested_module() == module


@pytest.mark.parametrize("path", ["/proc/nothing/here", "/", "/dev/null"])
def test_a_boot_log_that_cannot_be_written_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="boot_log"):
        knob_checks.check_boot_log(path)


# --- the boot log


def test_a_boot_log_is_the_users_alone_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    for line in (b"first\r\n", b"second\n"):
        log = BootLog(str(tmp_path / "log"))
        log.write(line)
        log.close()
    assert (tmp_path / "log").read_bytes() == b"first\r\nsecond\n"
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_a_boot_log_ends_where_it_is_full_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot_log_module, "MAX_BYTES", 1000)
    log = BootLog(str(tmp_path / "log"))
    for _ in range(10):
        log.write(b"x" * 300)
    log.close()
    content = (tmp_path / "log").read_bytes()
    assert content.startswith(b"x" * 900)
    assert content[900:] == b"\n[firkin: the boot log is full]\n"


def test_a_full_disk_costs_the_log_and_is_told() -> None:
    seen: list[Event] = []
    with subscribed(seen.append):
        log = BootLog("/dev/full")
        log.write(b"lost")
        log.write(b"and silence")
    assert [event.name for event in seen] == ["machine.boot_log_lost"]


def test_nothing_that_a_terminal_obeys_reaches_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    log = BootLog("-")
    log.write(b"\x1b]0;evil\x07 ok\r\n\xff")
    log.close()
    assert capfd.readouterr().err == "?]0;evil? ok\n\ufffd"
