"""How a VMM's end is put into words, and into which error."""

from __future__ import annotations

import pytest

from firkin.errors import BootFailed, HostUnsupported, PortInUse
from firkin.machine.qemu.exit import boot_failure, death, explain


def test_the_guests_power_off_is_a_clean_end() -> None:
    ended = explain(1, "", "")
    assert ended.clean
    assert ended.reason == "powered off"


def test_a_killed_vmm_names_the_signal() -> None:
    ended = explain(-9, "", "")
    assert "SIGKILL" in ended.reason
    assert not ended.clean


def test_a_signal_without_a_name_is_still_explained() -> None:
    assert "signal 35" in explain(-35, "", "").reason


def test_a_panic_is_read_from_the_console() -> None:
    console = "[ 0.5] Kernel panic - not syncing: VFS: Unable to mount root fs\n[ 0.6] more"
    assert explain(0, "", console).reason == "kernel panic: VFS: Unable to mount root fs"
    error = boot_failure("web", explain(0, "", console), console)
    assert isinstance(error, BootFailed)
    assert error.console_tail == console


def test_qemus_words_about_a_taken_port_become_port_in_use() -> None:
    said = "qemu: -netdev user,id=net0: Could not set up host forwarding rule 'tcp:0.0.0.0:80-10.0.2.15:80'"
    error = boot_failure("web", explain(1, said, ""), "")
    assert isinstance(error, PortInUse)
    assert "tcp:0.0.0.0:80" in str(error)


def test_a_qemu_that_refuses_to_start_is_quoted() -> None:
    error = boot_failure("web", explain(1, "qemu: warning: old\nqemu: no such device: virtio-x", ""), "")
    assert isinstance(error, HostUnsupported)
    assert "no such device: virtio-x" in str(error)


def test_warnings_alone_are_no_complaint() -> None:
    assert explain(1, "qemu-system-x86_64: warning: TCG doesn't support feature", "").clean


@pytest.mark.parametrize(
    ("status", "complaint", "console", "why"),
    [
        (-9, "", "", "host"),
        (1, "qemu: out of memory", "", "host"),
        (0, "", "Kernel panic - not syncing: System is deadlocked on memory", "oom"),
        (0, "", "Kernel panic - not syncing: Attempted to kill init!", "guest"),
        (0, "", "", "guest"),
    ],
)
def test_a_death_says_whose_doing_it_was(status: int, complaint: str, console: str, why: str) -> None:
    ended = explain(status, complaint, console)
    assert (ended.why, death("web", ended).why) == (why, why)
