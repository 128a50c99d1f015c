"""The console: kept without a reader, bounded whatever the guest prints."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from firkin.machine.console import MAX_LOG_BYTES, TAIL_BYTES, Console


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    console = Console(tmp_path / "console", tmp_path / "console.log")
    yield console
    console.close()


def test_what_the_vmm_wrote_before_it_died_is_read_afterwards(console: Console) -> None:
    write_fd, read_fd = console.vmm_fds()
    os.write(write_fd, b"Kernel panic\r\n")
    os.close(write_fd)
    os.close(read_fd)
    assert console.tail() == "Kernel panic"


def test_a_later_owner_finds_what_nobody_read(tmp_path: Path, console: Console) -> None:
    vmm = console.vmm_fds()
    console.close()
    os.write(vmm[0], b"said while nobody owned the machine\n")
    adopted = Console(tmp_path / "console", tmp_path / "console.log")
    assert adopted.tail() == "said while nobody owned the machine"
    adopted.close()
    for fd in vmm:
        os.close(fd)


def test_a_guest_that_prints_for_ever_fills_no_disk_and_loses_its_oldest_lines(
    tmp_path: Path, console: Console
) -> None:
    write_fd, read_fd = console.vmm_fds()
    for number in range(40):
        os.write(write_fd, b"%05d\n" % number * 10_000)
        console.drain()
    assert (tmp_path / "console.log").stat().st_size <= MAX_LOG_BYTES + (64 << 10)
    tail = console.tail()
    assert tail.endswith("00039")
    assert len(tail) <= TAIL_BYTES
    os.close(write_fd)
    os.close(read_fd)


def test_control_characters_cannot_reach_the_users_terminal(console: Console) -> None:
    write_fd, read_fd = console.vmm_fds()
    os.write(write_fd, b"\x1b]0;evil\x07 red \xff\n")
    tail = console.tail()
    assert "\x1b" not in tail
    assert "\x07" not in tail
    os.close(write_fd)
    os.close(read_fd)


def test_the_end_of_the_vmm_is_seen(console: Console) -> None:
    vmm = console.vmm_fds()
    assert console.drain() is True
    for fd in vmm:
        os.close(fd)
    assert console.drain() is False
