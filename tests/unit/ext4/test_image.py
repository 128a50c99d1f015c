"""Images from trees made by hand: e2fsck agrees with each, and debugfs finds what was put in."""

from __future__ import annotations

import os
import stat as modes
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from firkin.errors import Corrupt, StorageFull, UsageError
from firkin.ext4 import (
    BLOCK_BYTES,
    Directory,
    File,
    Identity,
    Layout,
    Node,
    Space,
    Special,
    Symlink,
    write_metadata,
)
from firkin.ext4.dirhash import half_md4
from firkin.ext4.extents import mapped
from tests.support.ext4 import DEBUGFS, assert_clean, debugfs, names, read, stat

IDENTITY = Identity(bytes(range(16)), bytes(range(16, 32)))
NOW = 1_700_000_000_123_456_789
SMALL = 64 << 20

Fill = Callable[[Directory, "Disk"], None]


class Disk:
    """An image in the making."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.space = Space(Layout.for_size(size_bytes))
        self.files: list[File] = []
        self._fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC)
        os.ftruncate(self._fd, size_bytes)

    def put(self, offset: int, content: bytes) -> None:
        os.pwrite(self._fd, content, offset)

    def file(self, content: bytes) -> File:
        extents = self.space.allocate_for(len(content))
        at = 0
        for start, count in extents:
            self.put(start * BLOCK_BYTES, content[at : at + count * BLOCK_BYTES])
            at += count * BLOCK_BYTES
        file = File(*common(modes.S_IFREG | 0o644), len(content), mapped(extents))
        self.files.append(file)
        return file

    def close(self) -> None:
        os.close(self._fd)


def common(
    mode: int, xattrs: dict[bytes, bytes] | None = None
) -> tuple[int, int, int, int, int, int, dict[bytes, bytes] | None]:
    return mode, 0, 0, NOW, NOW, NOW, xattrs


def directory(children: dict[bytes, Node] | None = None) -> Directory:
    return Directory(*common(modes.S_IFDIR | 0o755), children or {})


def image(path: Path, fill: Fill, size_bytes: int = SMALL) -> Path:
    """A checked image at `path` whose root `fill` has filled."""
    disk = Disk(path, size_bytes)
    try:
        root = directory()
        fill(root, disk)
        write_metadata(root, disk.space, IDENTITY, disk.put, disk.files)
    finally:
        disk.close()
    assert_clean(path)
    return path


@pytest.mark.parametrize(
    "size_bytes",
    [
        1 << 20,
        (1 << 20) + 4097,
        64 << 20,
        128 << 20,
        (128 << 20) + 4096,  # a last group too small to be worth it
        (128 << 20) + (1 << 20),
        512 << 20,
        2 << 30,
        (2 << 30) + (1 << 20),  # a flex area that would not fit
        (2 << 30) + (40 << 20),
        10 << 30,
        300 << 30,
        1 << 40,
    ],
)
def test_an_empty_file_system_of_any_size_is_sound_and_cheap(tmp_path: Path, size_bytes: int) -> None:
    path = image(tmp_path / "i", lambda root, disk: None, size_bytes)
    assert names(path) == set()
    assert path.stat().st_blocks * 512 < max(size_bytes // 4096, 256 << 10)


def test_a_disk_of_ten_gibibytes_costs_kilobytes(tmp_path: Path) -> None:
    assert image(tmp_path / "i", lambda root, disk: None, 10 << 30).stat().st_blocks * 512 < 300 << 10


@pytest.mark.parametrize("size_bytes", [0, 4096, (16 << 40) + 1])
def test_an_impossible_size_is_refused(size_bytes: int) -> None:
    with pytest.raises(UsageError, match="disk"):
        Layout.for_size(size_bytes)


def test_every_kind_of_file_is_there_with_its_metadata(tmp_path: Path) -> None:
    def fill(root: Directory, disk: Disk) -> None:
        file = disk.file(b"content" * 1000)
        file.mode, file.uid, file.gid = modes.S_IFREG | 0o6711, 70_000, 80_001
        root.children |= {
            b"file": file,
            b"again": file,
            b"empty": File(*common(modes.S_IFREG | 0o600), 0, []),
            b"short": Symlink(*common(modes.S_IFLNK | 0o777), b"t" * 59),
            b"long": Symlink(*common(modes.S_IFLNK | 0o777), b"t" * 60),
            b"longest": Symlink(*common(modes.S_IFLNK | 0o777), b"t" * 4095),
            b"null": Special(*common(modes.S_IFCHR | 0o666), 1, 3),
            b"far": Special(*common(modes.S_IFBLK | 0o660), 300, 70_000),
            b"pipe": Special(*common(modes.S_IFIFO | 0o600), 0, 0),
            b"dir": directory({b"sub": directory()}),
        }

    path = image(tmp_path / "i", fill)
    file, again, empty, short, long, null, far, pipe, folder = stat(
        path, "file", "again", "empty", "short", "long", "null", "far", "pipe", "dir"
    )
    assert (file.kind, file.mode, file.uid, file.gid, file.size) == ("f", 0o6711, 70_000, 80_001, 7000)
    assert (file.inode, file.links, again.links) == (again.inode, 2, 2)
    assert (file.mtime_ns, file.atime_ns, file.ctime_ns) == (NOW, NOW, NOW)
    assert read(path, "file") == b"content" * 1000
    assert (empty.kind, empty.size) == ("f", 0)
    assert (short.kind, short.target) == ("l", "t" * 59)
    assert (long.kind, long.size) == ("l", 60)
    assert read(path, "long") == b"t" * 60
    assert read(path, "longest") == b"t" * 4095
    assert (null.kind, null.device) == ("c", (1, 3))
    assert (far.kind, far.device) == ("b", (300, 70_000))
    assert pipe.kind == "p"
    assert (folder.kind, folder.links) == ("d", 3)


@pytest.mark.parametrize("seconds", [0, -1, -(2**31), 2**31, 2**32 + 5, 2**33, 2**34 - 2**31 - 1])
def test_times_from_1901_to_2446_are_kept_to_the_nanosecond(tmp_path: Path, seconds: int) -> None:
    time_ns = seconds * 1_000_000_000 + 987_654_321

    def fill(root: Directory, disk: Disk) -> None:
        file = disk.file(b"")
        file.mtime_ns, file.atime_ns = time_ns, 5
        root.children[b"x"] = file

    (found,) = stat(image(tmp_path / "i", fill), "x")
    assert (found.mtime_ns, found.atime_ns, found.ctime_ns) == (time_ns, 5, NOW)


@pytest.mark.parametrize("seconds", [3 * 2**32 - 2**31, 3 * 2**32 - 1])
def test_a_time_that_e2fsck_would_doubt_becomes_the_last_that_it_trusts(tmp_path: Path, seconds: int) -> None:
    def fill(root: Directory, disk: Disk) -> None:
        file = disk.file(b"")
        file.mtime_ns = file.atime_ns = file.ctime_ns = seconds * 1_000_000_000
        root.children[b"x"] = file

    (found,) = stat(image(tmp_path / "i", fill), "x")
    assert found.mtime_ns == (3 * 2**32 - 2**31 - 1) * 1_000_000_000


def test_attributes_stand_in_the_inode_or_in_a_block(tmp_path: Path) -> None:
    small = {b"security.capability": b"\1\0\0\2" + bytes(16), b"user.a": b"b"}
    large = {
        b"user.long": bytes(range(256)) * 12,
        b"user.l": b"",
        b"trusted.x": b"1234",
        b"user." + b"n" * 255: b"v",
    }

    def fill(root: Directory, disk: Disk) -> None:
        for name, xattrs in ((b"small", small), (b"large", large)):
            root.children[name] = disk.file(b"")
            root.children[name].xattrs = xattrs

    path = image(tmp_path / "i", fill)
    for name, xattrs in (("small", small), ("large", large)):
        for key, value in xattrs.items():
            saved = tmp_path / "value"
            debugfs(path, f"ea_get -f {saved} {name} {key.decode()}")
            assert saved.read_bytes() == value, key


def test_a_posix_acl_is_kept_in_the_form_of_ext4(tmp_path: Path) -> None:
    acl = bytes.fromhex(
        "02000000 01000600ffffffff 02000400e8030000 04000400ffffffff 10000400ffffffff 20000400ffffffff"
    )

    def fill(root: Directory, disk: Disk) -> None:
        root.children[b"x"] = disk.file(b"")
        root.children[b"x"].xattrs = {b"system.posix_acl_access": acl}

    path = image(tmp_path / "i", fill)
    saved = tmp_path / "value"
    debugfs(path, f"ea_get -f {saved} x system.posix_acl_access")
    assert saved.read_bytes() == acl.replace(b"\xff" * 4, bytes(4))  # debugfs fills unused ids with 0


@pytest.mark.parametrize(
    "xattrs",
    [
        {b"user.x": bytes(4096)},
        {b"user.": b""},
        {b"user." + b"x" * 256: b""},
        {b"system.posix_acl_access": b"\1\0\0\0"},
    ],
)
def test_attributes_that_ext4_cannot_hold_are_refused(tmp_path: Path, xattrs: dict[bytes, bytes]) -> None:
    def fill(root: Directory, disk: Disk) -> None:
        root.children[b"x"] = disk.file(b"")
        root.children[b"x"].xattrs = xattrs

    with pytest.raises(Corrupt):
        image(tmp_path / "i", fill)


@pytest.mark.parametrize(
    ("count", "length"), [(1, 255), (14, 255), (16, 250), (500, 12), (20_000, 12), (9000, 250)]
)
def test_directories_of_any_size_are_found_name_by_name(tmp_path: Path, count: int, length: int) -> None:
    wanted = {f"{number:x}".rjust(length, "n"[:1]).encode() for number in range(count)}

    def fill(root: Directory, disk: Disk) -> None:
        root.children[b"d"] = directory({name: disk.file(b"") for name in sorted(wanted)})

    path = image(tmp_path / "i", fill, 1 << 30)
    assert names(path, "d") == {name.decode() for name in wanted}
    if count == 9000:
        assert "Indirect levels: 1" in debugfs(path, "htree_dump d")


@pytest.mark.parametrize("count", [4, 5, 340 * 4, 340 * 4 + 1])
def test_a_file_in_many_places_has_an_extent_tree(tmp_path: Path, count: int) -> None:
    content = b"".join(b"%08d" % at * 512 for at in range(count))

    def fill(root: Directory, disk: Disk) -> None:
        mappings = []
        for at in range(count):
            if at % 2:
                disk.space.allocate(1)  # a gap, so that no two extents could be one
            ((start, _),) = disk.space.allocate(1)
            disk.put(start * BLOCK_BYTES, content[at * BLOCK_BYTES : (at + 1) * BLOCK_BYTES])
            mappings.append((at, start, 1))
        file = File(*common(modes.S_IFREG), len(content), mappings)
        root.children[b"x"] = file

    disk_path = tmp_path / "i"
    disk = Disk(disk_path, SMALL)
    root = directory()
    fill(root, disk)
    used = [m for child in root.children.values() if isinstance(child, File) for m in child.mappings]
    taken = {start for _, start, _ in used}
    gaps = [start for start in range(min(taken), max(taken) + 1) if start not in taken]
    lost = File(*common(modes.S_IFREG), 0, [(0, start, 1) for start in gaps])
    write_metadata(root, disk.space, IDENTITY, disk.put, [lost])
    disk.close()
    assert_clean(disk_path)
    assert read(disk_path, "x") == content


def test_a_file_of_more_than_four_gibibytes_reads_back_at_both_ends(tmp_path: Path) -> None:
    size = (5 << 30) + 17

    def fill(root: Directory, disk: Disk) -> None:
        extents = disk.space.allocate_for(size)
        disk.put(extents[0][0] * BLOCK_BYTES, b"begin")
        disk.put(extents[-1][0] * BLOCK_BYTES + (extents[-1][1] - 1) * BLOCK_BYTES + 12, b"final")
        root.children[b"x"] = File(*common(modes.S_IFREG | 0o644), size, mapped(extents))

    path = image(tmp_path / "i", fill, 8 << 30)
    (found,) = stat(path, "x")
    assert found.size == size
    for offset, expected in ((0, b"begin"), (size - 5, b"final")):
        block, inside = divmod(offset, BLOCK_BYTES)
        place = int(debugfs(path, f"bmap x {block}").split()[-1])
        with path.open("rb") as opened:
            opened.seek(place * BLOCK_BYTES + inside)
            assert opened.read(5) == expected


def test_more_subdirectories_than_a_link_count_holds(tmp_path: Path) -> None:
    def fill(root: Directory, disk: Disk) -> None:
        root.children[b"d"] = directory({b"%d" % number: directory() for number in range(65_100)})

    (found,) = stat(image(tmp_path / "i", fill, 2 << 30), "d")
    assert found.links == 1


def test_more_names_than_a_file_may_have_are_refused(tmp_path: Path) -> None:
    def fill(root: Directory, disk: Disk) -> None:
        file = disk.file(b"")
        root.children |= {b"%d" % number: file for number in range(65_001)}

    with pytest.raises(Corrupt, match="names"):
        image(tmp_path / "i", fill)


def test_what_does_not_fit_says_how_large_the_disk_must_be(tmp_path: Path) -> None:
    def fill(root: Directory, disk: Disk) -> None:
        extents = disk.space.allocate_for(10 << 20)
        root.children[b"x"] = File(*common(modes.S_IFREG), 10 << 20, mapped(extents))

    with pytest.raises(StorageFull, match=r"needs 1\d{7} bytes") as full:
        image(tmp_path / "i", fill, 8 << 20)
    assert "11m" in full.value.hint or "12m" in full.value.hint


def test_more_files_than_inodes_do_not_fit(tmp_path: Path) -> None:
    def fill(root: Directory, disk: Disk) -> None:
        root.children |= {b"%d" % number: disk.file(b"") for number in range(2000)}

    with pytest.raises(StorageFull, match="needs"):
        image(tmp_path / "i", fill, 2 << 20)


def test_no_two_parts_of_a_layout_overlap() -> None:
    for size in (1 << 20, 300 << 20, 10 << 30, 300 << 30):
        layout = Layout.for_size(size)
        taken = [(first, first + count) for first, count in layout.data_ranges()]
        for group in range(layout.groups):
            start = layout.group_start(group)
            for first, count in (
                (start, layout.head_blocks(group)),
                (layout.block_bitmap(group), 1),
                (layout.inode_bitmap(group), 1),
                (layout.inode_table(group), layout.table_blocks),
            ):
                if count:
                    taken.append((first, first + count))
        taken.sort()
        assert all(end <= start for (_, end), (start, _) in pairwise(taken))
        assert taken[0][0] == 0
        assert taken[-1][1] == layout.blocks
        assert sum(end - start for start, end in taken) == layout.blocks


def test_names_with_high_bytes_are_hashed_as_unsigned(tmp_path: Path) -> None:
    def fill(root: Directory, disk: Disk) -> None:
        root.children[b"d"] = directory({f"ü{number}é".encode() * 5: disk.file(b"") for number in range(500)})

    image(tmp_path / "i", fill)  # e2fsck looks each name's hash up


def test_the_hash_of_names_is_the_kernels() -> None:
    seed = "12345678-9abc-def0-1122-334455667788"
    words = tuple(
        int.from_bytes(bytes.fromhex(seed.replace("-", ""))[at : at + 4], "little") for at in range(0, 16, 4)
    )
    wanted = ["a", "abcd", "x" * 31, "y" * 32, "z" * 33, "q" * 65, "w" * 255, "name.with-dots_1"]
    found = half_md4([name.encode() for name in wanted], words)  # type: ignore[arg-type]
    for name, value in zip(wanted, found, strict=True):
        said = subprocess.run(
            [DEBUGFS, "-R", f"dx_hash -h half_md4 -s {seed} {name}"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"is 0x{value:x} " in said.stdout
