"""A volume that is a directory begins with what the image has in its place, whole or not at all."""

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path

import pytest

from firkin.errors import Corrupt, UsageError
from firkin.events import Event, subscribed
from firkin.volume.directory import NEW, WHOLE, fill, is_filled
from tests.support.layers import Shelf, archive, directory, hard_link, member, symlink

MIB = 1 << 20
LARGE = os.urandom(2 * MIB + 17)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    shelf = Shelf()
    layer = archive(
        [
            directory("data", mode=0o750, uid=33, gid=44),
            member("data/plain", b"plain", uid=70_000, gid=5, mode=0o640, mtime=1_111_111_111.5),
            member("data/tool", b"#!/bin/sh\n", mode=0o4755),
            member("data/large", LARGE),
            hard_link("data/linked", "data/plain"),
            symlink("data/out", "/etc/passwd"),
            directory("data/deep", mode=0o2751),
            member("data/deep/file", b"deep"),
            member("data/disk", type=tarfile.BLKTYPE, devmajor=8, devminor=0),
            member("data/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
            symlink("way", "/data"),
            directory("empty", mode=0o1700),
            member("file", b""),
        ]
    )
    return shelf.build([shelf.layer(layer)], tmp_path / "r", 64 * MIB).image_path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def test_it_has_what_the_image_has_and_nothing_that_acts_for_others(image: Path, place: Path) -> None:
    assert not is_filled(place)
    fill(place, image, "/way", own=True)
    assert is_filled(place)
    assert sorted(os.listdir(place)) == ["deep", "large", "linked", "out", "plain", "tool"]
    plain = (place / "plain").stat()
    assert (stat.S_IMODE(plain.st_mode), plain.st_mtime, plain.st_nlink) == (0o640, 1_111_111_111.5, 2)
    assert os.path.samefile(place / "plain", place / "linked")
    assert stat.S_IMODE((place / "tool").stat().st_mode) == 0o755
    assert stat.S_IMODE((place / "deep").stat().st_mode) == 0o2751
    assert os.readlink(place / "out") == "/etc/passwd"
    assert (place / "large").read_bytes() == LARGE
    assert stat.S_IMODE(place.stat().st_mode) == 0o750
    owner = (70_000, 5) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    assert (plain.st_uid, plain.st_gid) == owner


def test_one_that_holds_anything_is_left_as_it_is(image: Path, place: Path) -> None:
    (place / "mine").write_bytes(b"mine")
    fill(place, image, "/data", own=False)
    assert os.listdir(place) == ["mine"]


@pytest.mark.parametrize("at", ["/missing", "/file", "/empty"])
def test_where_the_image_has_nothing_it_stays_empty(image: Path, place: Path, at: str) -> None:
    mode = place.stat().st_mode
    fill(place, image, at, own=False)
    assert os.listdir(place) == []
    assert place.stat().st_mode == mode


def test_what_fails_leaves_it_empty_to_be_filled_again(image: Path, place: Path) -> None:
    class Broken(Exception):
        pass

    def stop(event: Event) -> None:
        if event.name == "copy.progress":
            raise Broken

    with subscribed(stop), pytest.raises(Broken):
        fill(place, image, "/data", own=False)
    assert os.listdir(place) == []


def test_who_finds_one_that_a_crash_left_half_goes_on(image: Path, place: Path) -> None:
    (place / NEW).mkdir()
    (place / NEW / "half").write_bytes(b"")
    assert not is_filled(place)
    fill(place, image, "/data", own=False)
    assert not (place / NEW).exists()
    (place / WHOLE).mkdir()
    (place / "plain").rename(place / WHOLE / "plain")
    assert not is_filled(place)
    fill(place, image, "/data", own=False)
    assert is_filled(place)
    assert (place / "plain").read_bytes() == b"plain"
    assert not (place / WHOLE).exists()


def test_an_image_that_is_damaged_gives_nothing(image: Path, place: Path) -> None:
    image.chmod(0o600)
    with open(image, "r+b") as disk:
        disk.seek(4096 * 2)
        disk.write(os.urandom(4096 * 200))
    with pytest.raises((Corrupt, UsageError)):
        fill(place, image, "/data", own=False)
    assert os.listdir(place) == []
