"""Disks of images as files of the user's, judged by debugfs, e2fsck and qemu-img."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from firkin.engine import staged_file
from firkin.engine.images import Images
from firkin.engine.staged_file import Staged
from firkin.engine.staging import stage_to
from firkin.errors import FirkinError, HostUnsupported, NameInUse, StorageFull, UsageError
from firkin.events import Event, subscribed
from firkin.settings import Settings
from tests.support.ext4 import assert_clean, read
from tests.support.images import tar_of

CONTENT = b"from the layer\n"
LARGE = os.urandom(3 << 20)
DISK = 64 << 20


@pytest.fixture
def stocked(settings: Settings) -> Settings:
    images = Images(settings, uses=lambda: ())
    for name, more in (("box", {}), ("other", {"bin/more": b"more"})):
        tar = tar_of({"bin/hello": CONTENT, "large": LARGE, **more})
        asyncio.run(images.import_archive(io.BytesIO(tar), name))
    return settings


def stage(settings: Settings, path: Path, image: str = "box", **words: Any) -> Staged:
    return asyncio.run(stage_to(settings, path, image, disk_bytes=DISK, policy="never", **words))


def forget(settings: Settings) -> None:
    """Remove both images, with all that the store has of them."""
    images = Images(settings, uses=lambda: ())
    for name in ("box", "other"):
        asyncio.run(images.remove(name))
    assert not [each for each in settings.paths.rootfs_dir.iterdir() if each.name != "lock"]


def image_info(path: Path, *words: str) -> str:
    asked = ["qemu-img", *words, str(path)]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout


def test_a_staged_disk_has_the_bytes_of_the_layer_and_holes_where_the_image_has_them(
    stocked: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "box.ext4"
    staged = stage(stocked, path)
    forget(stocked)
    assert_clean(path)
    assert (read(path, "/bin/hello"), read(path, "/large")) == (CONTENT, LARGE)
    assert (staged.path, staged.size_bytes, staged.base) == (path, DISK, None)
    assert staged.how in ("copy", "reflink")
    if staged.how == "copy":
        assert len(LARGE) < staged.written_bytes < DISK // 2
        assert path.stat().st_blocks * 512 < DISK // 2
    path.open("r+b").close()  # it is the user's, to write to
    assert os.listdir(tmp_path) == ["box.ext4"]


def test_an_overlay_keeps_its_image_whatever_is_removed_from_the_store(
    stocked: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "box.qcow2"
    staged = stage(stocked, path, form="qcow2")
    assert staged.how == "qcow2 overlay"
    assert staged.written_bytes < 1 << 20
    assert staged.base is not None
    assert sorted(os.listdir(tmp_path)) == sorted([path.name, staged.base.name])
    images = Images(stocked, uses=lambda: ())
    for reference, _ in images.store.tags():
        images.store.untag(reference)
    assert asyncio.run(images.prune()).bytes < 2 * len(LARGE) + (1 << 20)  # the layers, and not the disk
    image_info(path, "check", "-q")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for each in (path, staged.base):
        each.rename(moved / each.name)
    flat = tmp_path / "flat"
    subprocess.run(["qemu-img", "convert", "-O", "raw", moved / path.name, flat], check=True)
    assert read(flat, "/bin/hello") == CONTENT
    assert_clean(flat)


def test_a_file_is_only_replaced_when_that_is_asked_for_and_then_takes_its_base_along(
    stocked: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "box.qcow2"
    path.write_bytes(b"mine")
    with pytest.raises(NameInUse, match=str(path)):
        stage(stocked, path, form="qcow2")
    assert path.read_bytes() == b"mine"
    first = stage(stocked, path, form="qcow2", replace=True)
    again = stage(stocked, path, form="qcow2", replace=True)
    assert again.base == first.base
    other = stage(stocked, path, "other", form="qcow2", replace=True)
    assert sorted(os.listdir(tmp_path)) == sorted([path.name, str(other.base and other.base.name)])
    assert other.base != first.base
    stage(stocked, path, replace=True)
    assert os.listdir(tmp_path) == [path.name]


def test_who_makes_the_file_meanwhile_keeps_it(stocked: Settings, tmp_path: Path) -> None:
    path = tmp_path / "box.ext4"

    def rival(event: Event) -> None:
        if (event.name, event.phase) == ("stage", "begin"):
            path.write_bytes(b"mine")

    for form in ("raw", "qcow2"):
        with subscribed(rival), pytest.raises(NameInUse):
            stage(stocked, path, form=form)
        assert path.read_bytes() == b"mine"
        assert os.listdir(tmp_path) == [path.name]
        path.unlink()


def test_a_clone_is_asked_for_first_with_the_number_that_the_kernel_has(
    stocked: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def clone(fd: int, request: int, source_fd: int) -> None:
        asked.append(request)
        assert os.fstat(fd).st_size == 0
        os.ftruncate(fd, os.fstat(source_fd).st_size)

    monkeypatch.setattr(fcntl, "ioctl", clone)
    staged = stage(stocked, tmp_path / "box.ext4")
    assert (staged.how, staged.written_bytes, staged.size_bytes) == ("reflink", 0, DISK)
    assert asked == [1 << 30 | struct.calcsize("i") << 16 | 0x94 << 8 | 9]  # asm-generic/ioctl.h: _IOW


def test_what_fails_leaves_nothing(
    stocked: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(event: Event) -> None:
        if event.name == "stage.progress":
            raise OSError(28, os.strerror(28))

    monkeypatch.setattr(staged_file, "_cloned", lambda *_: False)
    with subscribed(full), pytest.raises(StorageFull):
        stage(stocked, tmp_path / "box.ext4")

    def broken(*_: object) -> None:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(staged_file, "sync_file", broken)
    for form in ("raw", "qcow2"):
        with pytest.raises(HostUnsupported):
            stage(stocked, tmp_path / "box", form=form)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("place", "said"),
    [("there", "is a directory"), ("missing/box", "no directory"), ("n" * 200, "too long")],
)
def test_a_place_that_cannot_be_is_refused_before_an_image_is_looked_for(
    settings: Settings, tmp_path: Path, place: str, said: str
) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match=said):
        stage(settings, tmp_path / place, "no-such-image")


def test_a_link_is_not_replaced_by_a_disk(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(UsageError, match="no file that could be replaced"):
        stage(settings, tmp_path / "link", "box", replace=True)
    with pytest.raises(FirkinError):
        stage(settings, tmp_path / "link", "box")


@pytest.mark.root
def test_an_overlay_elsewhere_than_its_image_is_refused_with_the_reason(
    stocked: Settings, tmp_path: Path
) -> None:
    there = Path("/dev/shm") / f"firkin-{os.getpid()}"
    there.mkdir()
    try:
        if there.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("the test's directory is on a tmpfs itself")
        with pytest.raises(HostUnsupported, match="hard link"):
            stage(stocked, there / "box.qcow2", form="qcow2")
        assert os.listdir(there) == []
        assert stage(stocked, there / "box.ext4").how == "copy"
        assert read(there / "box.ext4", "/bin/hello") == CONTENT
    finally:
        for each in there.iterdir():
            each.unlink()
        there.rmdir()
