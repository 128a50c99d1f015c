"""What changed in a directory of files: the same told of an overlay's upper layer and of a whole copy."""

from __future__ import annotations

import io
import os
import shutil
import stat
import struct
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from firkin.errors import UsageError
from firkin.linux.id_map import IdMap, IdRanges
from firkin.snapshot.tree_diff import Files, Overlaid, Plain, changes
from firkin.snapshot.tree_layer import Ids, tree_layer

ALL = IdMap.alike(IdRanges.parse("0:0:4294967295"))


class Trees:
    """A tree, `lower`, and the same after changes: as what an overlay shows, and as a whole copy."""

    def __init__(self, directory: Path) -> None:
        self.lower, self.upper, self.copy = (directory / name for name in ("lower", "upper", "copy"))
        (self.lower / "kept/deep").mkdir(parents=True)
        for name in ("gone", "same", "written", "moded", "kept/deep/file"):
            (self.lower / name).write_text(name)
        for name in ("emptied", "replaced", "dir-gone"):
            (self.lower / name).mkdir()
            (self.lower / name / "old").write_text("old")
        (self.lower / "link").symlink_to("same")
        (self.lower / "to-dir").symlink_to("kept")
        subprocess.run(["cp", "-a", str(self.lower), str(self.copy)], check=True)
        self.upper.mkdir()
        self._change()

    def _change(self) -> None:
        copy, upper = self.copy, self.upper
        for root in (copy, upper):
            (root / "kept/deep").mkdir(parents=True, exist_ok=True)
            (root / "kept/deep/new").write_text("new")
            (root / "written").write_text("WRITTEN")
            (root / "added").mkdir()
            (root / "added/file").write_text("file")
            (root / "added/other").hardlink_to(root / "added/file")
        for name in ("gone", "emptied/old"):
            (copy / name).unlink()
        shutil.rmtree(copy / "dir-gone")
        (upper / "emptied").mkdir()
        for name in ("gone", "dir-gone", "emptied/old"):
            os.mknod(upper / name, stat.S_IFCHR | 0o600, os.makedev(0, 0))
        (copy / "moded").chmod(0o600)
        subprocess.run(["cp", "-a", str(copy / "moded"), str(upper / "moded")], check=True)
        subprocess.run(["cp", "-a", str(self.lower / "same"), str(upper / "same")], check=True)  # opened only
        shutil.rmtree(copy / "replaced")
        for root in (copy, upper):
            (root / "replaced").mkdir()
            (root / "replaced/fresh").write_text("fresh")
        os.setxattr(upper / "replaced", "user.overlay.opaque", b"y")
        for name in ("link", "to-dir"):
            (copy / name).unlink()
        for root in (copy, upper):
            (root / "link").symlink_to("gone")
            (root / "to-dir").mkdir()
        os.setxattr(upper / "to-dir", "user.overlay.opaque", b"y")
        for path in (copy, upper):
            os.utime(path / "kept", (1, 1))

    def files(self, kind: str) -> tuple[int, Files]:
        lower_fd = os.open(self.lower, os.O_RDONLY)
        if kind == "plain":
            return lower_fd, Plain(os.open(self.copy, os.O_RDONLY))
        if kind == "fuse":
            self._by_names()
        return lower_fd, Overlaid(os.open(self.upper, os.O_RDONLY), lower_fd, fuse=kind == "fuse")

    def _by_names(self) -> None:
        """As fuse-overlayfs says it where it can make no devices and set no attributes."""
        for name in ("gone", "dir-gone", "emptied/old"):
            hidden = self.upper / name
            hidden.unlink()
            hidden.with_name(f".wh.{hidden.name}").touch()
        for name in ("replaced", "to-dir"):
            os.removexattr(self.upper / name, "user.overlay.opaque")
            (self.upper / name / ".wh..wh..opq").touch()


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    return Trees(tmp_path)


@pytest.fixture(params=["plain", "overlaid", "fuse"])
def opened(request: pytest.FixtureRequest, trees: Trees) -> Iterator[tuple[int, Files]]:
    lower_fd, files = trees.files(request.param)
    yield lower_fd, files
    os.close(lower_fd)
    os.close(files.root_fd)


EXPECTED = """
A /added
A /added/file
A /added/other
D /dir-gone
C /emptied
D /emptied/old
D /gone
C /kept
C /kept/deep
A /kept/deep/new
C /link
C /moded
C /replaced
A /replaced/fresh
D /replaced/old
C /to-dir
C /written
"""


def test_what_changed_is_told_in_the_order_of_paths_each_directory_first(opened: tuple[int, Files]) -> None:
    assert [" ".join(change) for change in changes(*opened)] == EXPECTED.strip().splitlines()


def test_nothing_is_told_of_what_is_left_out(opened: tuple[int, Files]) -> None:
    told = [change.path for change in changes(*opened, apart_from=("/added", "/kept/deep/new"))]
    assert not [path for path in told if path.startswith(("/added", "/kept"))]


def test_a_layer_makes_of_the_old_files_the_new_ones(
    opened: tuple[int, Files], trees: Trees, tmp_path: Path
) -> None:
    lower_fd, files = opened
    archive = b"".join(tree_layer(changes(lower_fd, files), files.root_fd, Ids(ALL, ALL)))
    made = tmp_path / "made"
    subprocess.run(["cp", "-a", str(trees.lower), str(made)], check=True)
    apply(made, archive)
    compared = subprocess.run(
        ["diff", "-r", "--no-dereference", str(made), str(trees.copy)], capture_output=True
    )
    assert compared.stdout == b""
    assert (made / "added/file").stat().st_ino == (made / "added/other").stat().st_ino
    assert stat.S_IMODE((made / "moded").stat().st_mode) == 0o600


def apply(root: Path, archive: bytes) -> None:
    """As the OCI image spec has layers applied, with GNU tar for the files."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = tar.getmembers()
    for member in members:
        path = root / member.name
        hidden = path.with_name(path.name.removeprefix(".wh."))
        gone = hidden if path.name.startswith(".wh.") else path
        if gone.is_symlink() or (gone.exists() and not (gone.is_dir() and member.isdir())):
            shutil.rmtree(gone) if gone.is_dir() and not gone.is_symlink() else gone.unlink()
    subprocess.run(["tar", "-x", "-p", "--exclude=.wh.*", "-C", str(root)], input=archive, check=True)


def test_ids_and_attributes_in_a_layer_are_the_containers(tmp_path: Path) -> None:
    ids = Ids(
        IdMap.alike(IdRanges.parse("0:1000:1 1:100000:100")),
        IdMap.alike(IdRanges.parse("0:1000:1 1:100000:65536")),
    )
    assert (ids.uid(0, b"f"), ids.gid(100, b"f")) == (0, 100)
    with pytest.raises(UsageError, match="none of the container's"):
        ids.uid(101, b"f")
    root = Ids(IdMap.alike(IdRanges.parse("0:5000:10")), ALL)
    sets = struct.pack("<IIII", 1 << 10, 0, 0, 0)
    of_its_root = struct.pack("<I", 0x03000001) + sets + struct.pack("<I", 5000)
    of_another = struct.pack("<I", 0x03000001) + sets + struct.pack("<I", 5001)
    assert root.attribute(b"security.capability", of_its_root, b"f") == struct.pack("<I", 0x02000001) + sets
    assert root.attribute(b"security.capability", of_another, b"f") == of_another
    acl = struct.pack("<I", 2) + struct.pack("<HHI", 0x02, 7, 5003)
    assert root.attribute(b"system.posix_acl_access", acl, b"f") == struct.pack("<IHHI", 2, 0x02, 7, 3)
    assert root.attribute(b"user.note", b"x", b"f") == b"x"


def test_a_name_that_a_layer_cannot_hold_is_refused(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    (tmp_path / "new/.wh.x").touch()
    old_fd, new_fd = (os.open(tmp_path / name, os.O_RDONLY) for name in ("old", "new"))
    with pytest.raises(UsageError, match="cannot be in an image"):
        list(tree_layer(changes(old_fd, Plain(new_fd)), new_fd, Ids(ALL, ALL)))
    os.close(old_fd)
    os.close(new_fd)
