"""Our ext4 reader before its judges: the kernel's driver on disks that it changed, debugfs, and damage."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import msgspec
import pytest

from firkin.errors import NotFound
from firkin.ext4.reader.file_system import FileSystem
from firkin.ext4.reader.inode import Inode
from firkin.machine import create_overlay
from firkin.machine.qcow2_disk import Disk
from firkin.machine.spec import Disk as DiskSpec
from firkin.machine.spec import MachineSpec
from firkin.settings import Settings
from firkin.snapshot.diff import changes
from firkin.snapshot.stack import Stack
from tests.conformance.test_ext4_judges import awkward
from tests.support.ext4 import stat as stat_by_debugfs
from tests.support.kernel_ext4 import Changes, Seen, mounted, seen
from tests.support.layers import Member, build, directory, hard_link, member, symlink
from tests.support.machines import BUSYBOX, guest

MIB = 1 << 20


def content(files: FileSystem, inode: Inode) -> bytes:
    """A file's bytes, holes filled."""
    whole = bytearray(inode.size)
    for offset, piece in files.data(inode):
        whole[offset : offset + len(piece)] = piece
    assert len(whole) == inode.size
    return bytes(whole)


def told(image: Path) -> dict[bytes, Seen]:
    """Everything in the file system of `image`, as our reader sees it."""
    found = {}
    with Disk.open([], image) as disk:
        files = FileSystem(disk)
        for path, inode in files.walk():
            is_link, is_file = inode.kind == stat.S_IFLNK, inode.kind == stat.S_IFREG
            found[path] = Seen(
                inode.number, inode.mode, inode.uid, inode.gid, inode.size, inode.links, inode.rdev,
                inode.mtime_ns, inode.ctime_ns, files.target(inode) if is_link else b"",
                content(files, inode) if is_file else b"", files.xattrs(inode),
            )  # fmt: skip
    return found


def assert_same(ours: dict[bytes, Seen], theirs: dict[bytes, Seen]) -> None:
    assert ours.keys() == theirs.keys()
    differ = [path for path in theirs if ours[path] != theirs[path]]
    assert not differ, (ours[differ[0]], theirs[differ[0]])


def first_tree() -> list[Member]:
    return [
        directory("etc", mode=0o700),
        member("etc/passwd", b"root" * 30_000),
        member("etc/attributes", b"x", pax_headers={"SCHILY.xattr.user.long": "v" * 3000}),
        *(member(f"etc/{number:04d}", b"%d" % number) for number in range(300)),
        symlink("link", "etc/passwd"),
        symlink("slow", "t" * 300),
        hard_link("again", "etc/passwd"),
    ]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image of ours that may be written to."""
    made = build(tmp_path / "r", first_tree(), size_bytes=96 * MIB).image_path
    copy = tmp_path / "image.ext4"
    shutil.copyfile(made, copy)
    return copy


@pytest.mark.root
@pytest.mark.parametrize("seed", range(6))
def test_what_the_kernel_changed_reads_as_the_kernel_reads_it(image: Path, tmp_path: Path, seed: int) -> None:
    for round_ in range(3):
        with mounted(image, tmp_path / "mnt") as root:
            Changes(root, 10 * seed + round_).make(120)
            theirs = seen(root)
        assert_same(told(image), theirs)
    assert len(theirs) > 400


def test_what_our_writer_made_reads_as_debugfs_reads_it(tmp_path: Path) -> None:
    members = awkward()
    image = build(tmp_path / "r", members, size_bytes=256 * MIB).image_path
    ours = told(image)
    contents = {info.name: data for info, data in members if info.isreg()}
    plain = [info for info, _ in members if "\n" not in info.name]  # debugfs reads commands by lines
    some = [info for number, info in enumerate(plain) if number % 97 == 0 or "many" not in info.name]
    for info, theirs in zip(some, stat_by_debugfs(image, *(info.name for info in some)), strict=True):
        here = ours[b"/" + os.fsencode(info.name)]
        assert (here.inode, here.mode & 0o7777, here.uid, here.gid, here.links, here.mtime_ns) == (
            theirs.inode, theirs.mode, theirs.uid, theirs.gid, theirs.links, theirs.mtime_ns,
        )  # fmt: skip
        if theirs.device:
            assert here.rdev == os.makedev(*theirs.device)
        if info.isreg():
            assert here.content == contents[info.name]
    assert ours[b"/awkward/slow"].target == b"t" * 300
    assert ours[b"/awkward/attributes"].xattrs == {b"user.long": b"v" * 3000, b"user.short": b"s"}
    assert ours[b"/awkward/linked"].inode == ours[b"/awkward/attributes"].inode
    assert len(ours) == len(members) + 1


def test_a_part_of_the_tree_is_walked_from_its_top(image: Path) -> None:
    with Disk.open([], image) as disk:
        files = FileSystem(disk)
        below = [path for path, _ in files.walk(b"/etc/")]
        assert below[0] == b"/etc"
        assert below[1:] == sorted(below[1:])
        assert len(below) == 303
        assert [path for path, _ in files.walk(b"link")] == [b"/link"]
        for missing in (b"/nowhere", b"/etc/passwd/below", b"/link/x"):
            with pytest.raises(NotFound, match="there is no"):
                files.lookup(missing)


@pytest.mark.machine
async def test_a_disk_that_a_machine_grew_is_read_to_its_end(settings: Settings, tmp_path: Path) -> None:
    """Its kernel puts descriptors into the groups that came, and new directories into groups far apart."""
    base = [
        member("bin/busybox", Path(BUSYBOX).read_bytes(), mode=0o755),
        directory("proc"),
        directory("dev"),
    ]
    image = build(tmp_path / "r", [*base, directory("sys"), *first_tree()], size_bytes=1 << 30).image_path
    overlay = tmp_path / "disk.qcow2"
    create_overlay(overlay, image, 20 << 30)
    spec = MachineSpec(name="grown", disks=(DiskSpec(path=overlay, format="qcow2", backing=image),))
    booted = msgspec.structs.replace(settings, templates=0)
    async with guest(spec, booted, tmp_path / "machine", grow_bytes=20 << 30) as it:
        made = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); mkdir /far$i; echo $i > /far$i/file; done"
        assert await it.sh(f"{made}; /bin/busybox sync") == (0, "")
    with Disk.open([overlay], image) as disk:
        files = FileSystem(disk)
        geometry = files.geometry
        found = dict(files.walk())
        for number in range(1, 401):
            assert content(files, found[b"/far%d/file" % number]) == b"%d\n" % number
        furthest = max(inode.number for inode in found.values()) // geometry.inodes_per_group
    assert furthest // 64 >= geometry.first_meta_group > 0
    told_of_groups = {
        path for kind, path in changes(Stack("image", (), image), Stack("grown", (overlay,), image))
    }
    assert {f"/far{number}" for number in range(1, 401)} < told_of_groups
