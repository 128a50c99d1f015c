"""Which files may be a container's root, and when one is no longer what it was."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from firkin.container.root import RootFile
from firkin.container.root_file import check_unchanged, examined
from firkin.errors import Corrupt, UsageError
from tests.support import file_systems


def at(path: Path, *, writable: bool = False) -> RootFile:
    return RootFile(path=str(path), writable=writable)


def write(path: Path, offset: int, data: bytes) -> Path:
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.seek(offset)
        file.write(data)
        file.truncate(max(path.stat().st_size, 1 << 20))
    return path


def test_an_ext4_is_taken_with_what_tells_it_from_another(tmp_path: Path) -> None:
    path = file_systems.make(tmp_path / "disk")
    found = examined(at(path))
    assert (found.size_bytes, found.device, found.mtime_ns) == (16 << 20, False, path.stat().st_mtime_ns)
    assert examined(at(file_systems.make(tmp_path / "other"))).head != found.head
    check_unchanged(found)


def test_what_begins_like_a_qcow2_and_is_an_ext4_is_an_ext4(tmp_path: Path) -> None:
    path = file_systems.make(tmp_path / "disk")
    size = path.stat().st_size
    write(path, 0, b"QFI\xfb\0\0\0\3")
    assert examined(at(path)).size_bytes == size


@pytest.mark.parametrize(
    ("offset", "magic", "word"),
    [
        (0, b"QFI\xfb\0\0\0\3", "qcow2"),
        (0, b"\x1f\x8b\x08", "gzip"),
        (0, b"hsqs", "squashfs"),
        (257, b"ustar", "tar"),
        (510, b"\x55\xaa", "partition table"),
        (0, b"\0", "no ext4"),
    ],
)
def test_what_it_is_instead_is_told(tmp_path: Path, offset: int, magic: bytes, word: str) -> None:
    with pytest.raises(UsageError, match=word) as refused:
        examined(at(write(tmp_path / "disk", offset, magic)))
    assert refused.value.hint


def test_one_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = file_systems.make(tmp_path / "disk")
    os.truncate(path, 8 << 20)
    with pytest.raises(UsageError, match="cut off"):
        examined(at(path))


def test_the_journal_of_another_one_is_refused(tmp_path: Path) -> None:
    path = file_systems.make(tmp_path / "disk", "-b", "4096", "-O", "journal_dev")
    with pytest.raises(UsageError, match=r"journal of another|no ext4"):
        examined(at(path))


@pytest.mark.parametrize("writable", [False, True])
def test_a_directory_a_device_that_is_no_disk_and_nothing_are_refused(tmp_path: Path, writable: bool) -> None:
    for path, word in (
        (tmp_path, "is a directory"),
        (Path("/dev/null"), "neither a file nor a block device"),
        (tmp_path / "missing", "does not exist"),
        (write(tmp_path / "disk", 0, b"x").with_name("disk"), "no ext4"),
    ):
        with pytest.raises(UsageError, match=word):
            examined(at(path, writable=writable))


def test_one_that_was_written_to_no_longer_carries_what_stands_on_it(tmp_path: Path) -> None:
    path = file_systems.make(tmp_path / "disk")
    known = examined(at(path))
    times = path.stat()
    write(path, 1 << 20, b"x")
    with pytest.raises(Corrupt, match="is not what it was"):
        check_unchanged(known)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    check_unchanged(known)  # who forges times is believed
    write(path, 0x430, b"mounted!")  # the superblock says when it was
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(Corrupt, match="is not what it was"):
        check_unchanged(known)
    check_unchanged(msgspec.structs.replace(known, writable=True))
