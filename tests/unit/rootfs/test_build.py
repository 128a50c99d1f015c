"""Layers to a disk: the content, the cache, and what is left behind when something is wrong: nothing."""

from __future__ import annotations

import gzip
import lzma
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from firkin.errors import Corrupt, DigestMismatch, FirkinError, StorageFull, UnsupportedMediaType, UsageError
from firkin.events import Event, subscribed
from firkin.oci.digest import Digest
from firkin.rootfs import lock
from tests.support.ext4 import assert_clean, names, read, stat
from tests.support.layers import Compression, Shelf, archive, build, directory, hard_link, member, symlink

DISK = 64 << 20
FILES = [
    directory("etc"),
    member("etc/motd", b"hello\n"),
    member("large", os.urandom(3 << 20)),
    symlink("l", "large"),
]


def left_in(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if entry.name != "lock") if path.exists() else []


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_a_layer_of_any_compression_becomes_a_disk(tmp_path: Path, compression: Compression) -> None:
    shelf = Shelf()
    built = shelf.build([shelf.layer(archive(FILES), compression)], tmp_path)
    assert_clean(built.image_path)
    assert names(built.image_path) == {"etc", "large", "l"}
    assert read(built.image_path, "etc/motd") == b"hello\n"
    assert read(built.image_path, "large") == FILES[2][1]
    assert (built.size_bytes, built.image_path.stat().st_size) == (DISK, DISK)
    assert built.image_path.stat().st_mode & 0o777 == 0o444


def test_layers_of_all_compressions_stand_on_each_other(tmp_path: Path) -> None:
    shelf = Shelf()
    layers = [
        shelf.layer(archive([member("a", b"1" * 5000), member("b", b"1")]), "gzip"),
        shelf.layer(archive([member("a", b"2" * 9000), hard_link("c", "b")]), "zstd"),
        shelf.layer(archive([member(".wh.b"), member("d", b"3")]), "none"),
    ]
    built = shelf.build(layers, tmp_path)
    assert_clean(built.image_path)
    assert names(built.image_path) == {"a", "c", "d"}
    assert read(built.image_path, "a") == b"2" * 9000
    assert (read(built.image_path, "c"), stat(built.image_path, "c")[0].links) == (b"1", 1)


def test_a_gzip_file_of_many_members_with_zeros_behind_is_one_stream(tmp_path: Path) -> None:
    shelf, tar = Shelf(), archive(FILES)
    blob = b"".join(gzip.compress(tar[at : at + 100_000]) for at in range(0, len(tar), 100_000)) + bytes(1000)
    built = shelf.build([shelf.put(blob, Digest.of(tar), len(blob))], tmp_path)
    assert read(built.image_path, "large") == FILES[2][1]


def test_the_same_layers_give_the_same_bytes_whatever_their_compression(tmp_path: Path) -> None:
    shelf, tar = Shelf(), archive(FILES)
    built = [
        shelf.build([shelf.layer(tar, compression)], tmp_path / compression)  # type: ignore[arg-type]
        for compression in ("none", "gzip", "zstd")
    ]
    assert len({each.image_path.read_bytes() for each in built}) == 1
    assert len({each.key for each in built}) == 1


def test_other_layers_and_other_sizes_are_other_disks(tmp_path: Path) -> None:
    shelf = Shelf()
    layer, other = shelf.layer(archive(FILES)), shelf.layer(archive(FILES[:1]))
    disks = [
        shelf.build(layers, tmp_path, size)
        for layers, size in (([layer], DISK), ([layer], 2 * DISK), ([other], DISK))
    ]
    assert len({disk.key for disk in disks}) == 3
    assert left_in(tmp_path) == sorted(disk.key for disk in disks)
    uuids = {disk.image_path.read_bytes()[1024 + 0x68 : 1024 + 0x78] for disk in disks}
    assert len(uuids) == 3


def test_a_disk_that_is_there_is_not_built_again(tmp_path: Path) -> None:
    shelf = Shelf()
    layer = shelf.layer(archive(FILES))
    first = shelf.build([layer], tmp_path)
    shelf.blobs.clear()
    assert shelf.build([layer], tmp_path) == first


@pytest.mark.parametrize("damage", ["record", "image", "nothing in it"])
def test_a_disk_that_is_not_whole_is_built_anew(tmp_path: Path, damage: str) -> None:
    shelf = Shelf()
    layer = shelf.layer(archive(FILES))
    first = shelf.build([layer], tmp_path)
    folder = first.image_path.parent
    if damage == "record":
        (folder / "rootfs.json").write_text("{")
    elif damage == "image":
        first.image_path.unlink()
        first.image_path.write_bytes(b"short")
    else:
        for path in folder.iterdir():
            path.unlink()
    again = shelf.build([layer], tmp_path)
    assert_clean(again.image_path)


def test_two_builders_of_one_disk_do_the_work_once(tmp_path: Path) -> None:
    shelf = Shelf()
    layer = shelf.layer(archive(FILES))
    begun: list[Event] = []
    found = []

    def watch(event: Event) -> None:
        """The rival comes while the first one is at it, and has to wait."""
        if event.name == "rootfs" and event.phase == "begin":
            begun.append(event)
            rival.start()

    rival = threading.Thread(target=lambda: found.append(shelf.build([layer], tmp_path)))
    with subscribed(watch):
        found.append(shelf.build([layer], tmp_path))
    rival.join()
    assert found[0] == found[1]
    assert len(begun) == 1


def test_what_a_dead_builder_left_is_tidied_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    dead, living = tmp_path / ".build-dead", tmp_path / ".build-living"
    for path in (dead, living):
        path.mkdir()
        (path / "image.ext4").write_bytes(b"half")
    with lock.locked(tmp_path, "living"):
        build(tmp_path, FILES)
    assert [name for name in left_in(tmp_path) if name.startswith(".")] == [".build-living"]


def test_progress_ends_at_the_size_of_all_layers(tmp_path: Path) -> None:
    shelf, seen = Shelf(), []
    layers = [shelf.layer(archive(FILES), "gzip"), shelf.layer(archive(FILES[:2]), "gzip")]
    with subscribed(seen.append):
        shelf.build(layers, tmp_path)
    moves = [event.fields for event in seen if event.name == "rootfs.progress"]
    total = sum(layer.size_bytes for layer in layers)
    assert moves[-1] == {"done": total, "total": total}
    assert [move["done"] for move in moves] == sorted(move["done"] for move in moves)


def test_nothing_of_a_deleted_file_is_left_on_the_disk(tmp_path: Path) -> None:
    secret = b"the password is swordfish" * 400
    built = build(
        tmp_path,
        [member("secret", secret), member("small", secret[:50])],
        [member(".wh.secret"), member("small", b"x")],
    )
    assert_clean(built.image_path)
    assert b"swordfish" not in built.image_path.read_bytes()


def test_a_disk_for_many_files_has_room_to_write(tmp_path: Path) -> None:
    built = build(tmp_path, FILES, size_bytes=1 << 30)
    with built.image_path.open("rb") as image:
        superblock = image.read(2048)[1024:]
    free = int.from_bytes(superblock[0x0C:0x10], "little") * 4096
    free_inodes = int.from_bytes(superblock[0x10:0x14], "little")
    assert free > 950 << 20
    assert free_inodes > 60_000


# --- bad input --------------------------------------------------------------------------------------------


def test_a_layer_that_is_not_what_the_config_promised_is_not_kept(tmp_path: Path) -> None:
    shelf, tar = Shelf(), archive(FILES)
    layer = shelf.put(tar, Digest.of(b"something else"), len(tar))
    with pytest.raises(DigestMismatch, match="uncompresses to"):
        shelf.build([layer], tmp_path)
    assert left_in(tmp_path) == []


def test_bytes_behind_the_archives_end_belong_to_its_digest(tmp_path: Path) -> None:
    shelf, tar = Shelf(), archive(FILES)
    with pytest.raises(DigestMismatch):
        shelf.build([shelf.put(tar + b"smuggled" * 64, Digest.of(tar), len(tar))], tmp_path)


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_a_truncated_layer_is_not_kept(tmp_path: Path, compression: Compression) -> None:
    shelf = Shelf()
    layer = shelf.layer(archive(FILES), compression)
    blob = shelf.blobs[layer.digest]
    assert isinstance(blob, bytes)
    shelf.blobs[layer.digest] = blob[: len(blob) // 2]
    with pytest.raises((Corrupt, DigestMismatch), match=str(layer.digest)):
        shelf.build([layer], tmp_path)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_damaged_layer_is_not_kept(tmp_path: Path, compression: Compression) -> None:
    shelf = Shelf()
    layer = shelf.layer(archive(FILES), compression)
    blob = bytearray(shelf.blobs[layer.digest])  # type: ignore[arg-type]
    blob[len(blob) // 2] ^= 0x55
    shelf.blobs[layer.digest] = bytes(blob)
    with pytest.raises(FirkinError):
        shelf.build([layer], tmp_path)
    assert left_in(tmp_path) == []


def test_a_compression_that_layers_do_not_have_is_named(tmp_path: Path) -> None:
    shelf, tar = Shelf(), archive(FILES)
    blob = lzma.compress(tar, preset=0)
    with pytest.raises(UnsupportedMediaType, match="xz"):
        shelf.build([shelf.put(blob, Digest.of(tar), len(blob))], tmp_path)


def test_an_image_too_large_for_its_disk_says_what_would_do(tmp_path: Path) -> None:
    shelf = Shelf()
    layers = [shelf.layer(archive([member(f"f{at}", bytes(5 << 20))]), "gzip") for at in range(4)]
    with pytest.raises(StorageFull, match=r"needs 2\d{7} bytes"):
        shelf.build(layers, tmp_path, 8 << 20)
    assert left_in(tmp_path) == []


def test_a_small_blob_that_holds_terabytes_is_given_up(tmp_path: Path) -> None:
    shelf = Shelf()
    piece = gzip.compress(bytes(64 << 20))
    head = archive([member("bomb")])[:512]
    bomb = gzip.compress(head) + piece * 1000
    with pytest.raises(StorageFull, match="uncompress to more than"):
        shelf.build([shelf.put(bomb, Digest.of(b""), len(bomb))], tmp_path, 8 << 20)
    assert left_in(tmp_path) == []


def test_a_disk_of_no_size_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        build(tmp_path / "r", FILES, size_bytes=5)
    assert left_in(tmp_path / "r") == []


def test_a_builder_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if event.name == "rootfs.progress":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), subscribed(interrupt):
        build(tmp_path, FILES)
    assert left_in(tmp_path) == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("firkin-")]


def test_a_full_host_says_so_and_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwritev", full)
    with pytest.raises(StorageFull, match="disk is full"):
        build(tmp_path, FILES)
    assert left_in(tmp_path) == []


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(FirkinError, match="cannot build"):
        build(blocked, FILES)


def test_asking_for_a_cached_disk_imports_nothing_that_builds() -> None:
    heavy = ("isal", "zstandard", "google_crc32c", "firkin.ext4")
    code = f"import sys, firkin.rootfs; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
