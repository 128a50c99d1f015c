"""The disk of a volume, before its judges: e2fsck and debugfs."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from firkin.errors import Corrupt, StorageFull
from firkin.volume.disk import has_content, is_empty, write_disk
from tests.support.ext4 import assert_clean, debugfs, names, read
from tests.support.layers import Shelf, archive, directory, hard_link, member, symlink

MIB = 1 << 20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    shelf = Shelf()
    attributes = {
        "SCHILY.xattr.user.long": "v" * 3000,
        "SCHILY.xattr.security.capability": "\1\0\0\2" + "\0" * 16,
    }
    layer = archive(
        [
            directory("data", mode=0o2750, uid=33, gid=44),
            member("data/plain", b"plain", uid=70_000, gid=5, mode=0o640, mtime=1_111_111_111.5),
            member("data/large", os.urandom(3 * MIB + 17)),
            member("data/attributes", b"x", pax_headers=attributes),
            hard_link("data/linked", "data/plain"),
            symlink("data/short", "plain"),
            symlink("data/slow", "t" * 300),
            directory("data/deep"),
            directory("data/deep/er"),
            member("data/deep/er/file", b"deep"),
            symlink("way", "/round"),
            symlink("round", "../data/deep"),
            symlink("loop", "loop"),
            directory("empty", mode=0o700, uid=9),
            member("file", b""),
        ]
    )
    return shelf.build([shelf.layer(layer)], tmp_path / "r", 64 * MIB).image_path


def stat_of(disk: Path, path: str) -> str:
    return debugfs(disk, f'stat "{path}"')


def test_a_disk_begins_with_what_the_image_has_there_whoever_owns_it(image: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    write_disk(disk, 32 * MIB, image, "/data")
    assert_clean(disk)
    assert names(disk) == {"plain", "large", "attributes", "linked", "short", "slow", "deep"}
    for name in ("plain", "large", "deep/er/file"):
        assert read(disk, f"/{name}") == read(image, f"/data/{name}")
    for path in ("/plain", "/short", "/slow", "/deep/er", "/attributes", ""):
        for key in ("User:", "Mode:", "mtime:", "Links:"):
            ours = [
                line.split(key)[1].split("Size:")[0]
                for line in stat_of(disk, path or "/").splitlines()
                if key in line
            ]
            theirs = stat_of(image, f"/data{path}").splitlines()
            assert ours == [line.split(key)[1].split("Size:")[0] for line in theirs if key in line], (
                path,
                key,
            )
    assert "user.long (3000)" in stat_of(disk, "/attributes")
    assert "security.capability" in stat_of(disk, "/attributes")
    assert not is_empty(disk)


def test_links_on_the_way_are_followed_inside_the_image(image: Path, tmp_path: Path) -> None:
    write_disk(tmp_path / "disk", 32 * MIB, image, "/way/er")
    assert names(tmp_path / "disk") == {"file"}
    assert has_content(image, "/way/er")


@pytest.mark.parametrize("at", ["/nowhere", "/file", "/loop", "/data/plain/x"])
def test_where_the_image_has_no_directory_the_disk_is_empty(image: Path, tmp_path: Path, at: str) -> None:
    write_disk(tmp_path / "disk", 16 * MIB, image, at)
    assert_clean(tmp_path / "disk")
    assert is_empty(tmp_path / "disk")
    assert not has_content(image, at)


def test_an_empty_directory_gives_its_owner_and_mode(image: Path, tmp_path: Path) -> None:
    write_disk(tmp_path / "disk", 16 * MIB, image, "/empty")
    root = stat_of(tmp_path / "disk", "/")
    assert "User:     9" in root
    assert "Mode:  0700" in root


@pytest.mark.parametrize(("size", "journal"), [(16 * MIB, 1024), (200 * MIB, 4096), (10 << 30, 16384)])
def test_a_disk_has_a_journal_and_takes_no_room(tmp_path: Path, size: int, journal: int) -> None:
    disk = tmp_path / "disk"
    write_disk(disk, size, None, "/")
    assert_clean(disk)
    assert f"({journal - 1}" in stat_of(disk, "<8>") or f"-{journal - 1})" in stat_of(disk, "<8>")
    assert "has_journal" in debugfs(disk, "features")
    assert disk.stat().st_size == size
    assert disk.stat().st_blocks * 512 < MIB
    assert stat.S_IMODE(disk.stat().st_mode) == 0o600


def test_what_does_not_fit_is_refused_with_what_would(image: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageFull, match="bytes") as refused:
        write_disk(tmp_path / "disk", 4 * MIB, image, "/data")
    assert "larger" in refused.value.hint


def test_an_image_that_is_damaged_is_not_copied(image: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(image.read_bytes())
    with broken.open("r+b") as file:
        file.seek(1024 + 0x68)
        file.write(b"another uuid....")
    with pytest.raises(Corrupt):
        write_disk(tmp_path / "disk", 32 * MIB, broken, "/data")
