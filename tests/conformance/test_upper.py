"""What was written over a file system, from a tar of what the kernel's overlayfs put there."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from firkin.errors import Corrupt, UsageError
from firkin.ext4.reader.file_system import FileSystem
from firkin.rootfs import Rootfs
from firkin.snapshot.upper import upper_changes, upper_layer
from firkin.volume.disk import ImageFile
from tests.support.kernel_ext4 import Changes, Seen, expected, mounted, seen, told_of
from tests.support.layers import Member, Shelf, archive, build, directory, hard_link, member, symlink

SIZE = 96 << 20
T = TypeVar("T")

FIRST = [
    directory("etc"),
    directory("etc/deep", mode=0o750, uid=5),
    directory("empty"),
    directory("tree"),
    directory("tree/below"),
    member("tree/below/one", b"1"),
    member("tree/below/two", b"2"),
    member("etc/passwd", b"root" * 30_000),
    member("etc/deep/file", b"deep"),
    *(member(f"etc/{number:04d}", b"%d" % number) for number in range(60)),
    symlink("link", "etc/passwd"),
    hard_link("again", "etc/passwd"),
]

OVERLAY = """
mke2fs -q -t ext4 "$2/over.ext4" 128M > "$2/said" && mount -o loop,ro "$1" "$2/lower" &&
mount -o loop "$2/over.ext4" "$2/over" && mkdir "$2/over/up" "$2/over/work" &&
chmod --reference="$2/lower" "$2/over/up" &&
options=upperdir=$2/over/up,workdir=$2/over/work,redirect_dir=off,metacopy=off &&
mount -t overlay -o "lowerdir=$2/lower,$options" none "$2/merged" && echo mounted && read end
tar -C "$2/over/up" --xattrs --xattrs-include='*' --sparse -cf "$2/up.tar" . && echo packed
"""


class Overlay:
    """A root of ours under the kernel's overlayfs, for as long as the block runs."""

    def __init__(self, place: Path, rootfs: Rootfs) -> None:
        self.place, self.rootfs = place, rootfs

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        """The merged directory, to change; at the end the tar of its upper one is there."""
        (self.place / "over.ext4").unlink(missing_ok=True)
        for name in ("lower", "over", "merged"):
            (self.place / name).mkdir(exist_ok=True)
        holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", OVERLAY, "sh",
             self.rootfs.image_path, self.place],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with holder:
            assert holder.stdin is not None
            assert holder.stdout is not None
            assert holder.stdout.readline() == "mounted\n"
            try:
                yield Path(f"/proc/{holder.pid}/root{self.place}/merged")
            finally:
                holder.stdin.close()
                assert holder.stdout.readline() == "packed\n"

    def seen(self) -> dict[bytes, Seen]:
        """The files below, as the kernel sees them."""
        with mounted(self.rootfs.image_path, self.place / "lower", "ro") as root:
            return seen(root)

    def told(self, work: Callable[[Iterator[bytes], FileSystem], T]) -> T:
        """What `work` makes of it."""
        return told((self.place / "up.tar").read_bytes(), self.rootfs, work)


def told(archive: bytes, rootfs: Rootfs, work: Callable[[Iterator[bytes], FileSystem], T]) -> T:
    with open(rootfs.image_path, "rb") as file:
        return work(iter([archive]), FileSystem(ImageFile(file.fileno()), "the image"))


@pytest.fixture
def rootfs(tmp_path: Path) -> Rootfs:
    return build(tmp_path / "r", FIRST, size_bytes=SIZE)


@pytest.fixture
def overlay(tmp_path: Path, rootfs: Rootfs) -> Overlay:
    return Overlay(tmp_path, rootfs)


@pytest.mark.root
@pytest.mark.parametrize("seed", range(3))
def test_random_changes_are_all_told_and_are_an_image_again(
    overlay: Overlay, tmp_path: Path, seed: int
) -> None:
    before = overlay.seen()
    with overlay.mounted() as root:
        Changes(root, 700 + seed).make(120)
        merged = without_sockets(seen(root))
    found = {os.fsencode(path): kind for kind, path in overlay.told(upper_changes)}
    wanted = {path: kind for kind, path in expected(before, merged)}
    assert len(wanted) > 20
    assert {path: kind for path, kind in found.items() if path in wanted} == wanted
    copied = found.keys() - wanted.keys()  # or touched, or the place of a socket
    assert {found[path] for path in copied} <= {"C"}
    assert list(found) == sorted(found, key=lambda path: path.split(b"/"))

    layer = overlay.told(lambda archive, below: b"".join(upper_layer(archive, below)))
    shelf = Shelf()
    layers = [shelf.layer(archive(FIRST)), shelf.layer(layer)]
    made = Overlay(tmp_path, shelf.build(layers, tmp_path / "r", SIZE)).seen()
    assert {path: told_of(it) for path, it in made.items() if path in merged} == {
        path: told_of(it) for path, it in merged.items()
    }
    assert not {path for path in made.keys() - merged.keys() if path not in before}


@pytest.mark.root
def test_whiteouts_opaque_directories_and_links_are_told_as_what_they_mean(overlay: Overlay) -> None:
    with overlay.mounted() as root:
        shutil.rmtree(root / "tree")
        (root / "tree/below").mkdir(parents=True)
        (root / "tree/below/one").write_bytes(b"another")
        shutil.rmtree(root / "empty")
        (root / "etc/passwd").unlink()
        (root / "etc/passwd").mkdir()
        os.link(root / "etc/0001", root / "twin")
        os.chmod(root / "etc/deep", 0o711)
        (root / "passing").touch()
        (root / "passing").unlink()
    assert overlay.told(upper_changes) == [
        ("D", "/empty"),
        ("C", "/etc"),
        ("C", "/etc/0001"),
        ("C", "/etc/deep"),
        ("C", "/etc/passwd"),
        ("C", "/tree"),
        ("C", "/tree/below"),
        ("C", "/tree/below/one"),
        ("D", "/tree/below/two"),
        ("A", "/twin"),
    ]
    hidden = ("/etc", "/tree/below/one", "/tree/below/two")
    assert overlay.told(partial(upper_changes, apart_from=hidden)) == [("D", "/empty"), ("A", "/twin")]
    layer = overlay.told(lambda archive, below: b"".join(upper_layer(archive, below)))
    with tarfile.open(fileobj=io.BytesIO(layer)) as listed:
        entries = {each.name: each for each in listed}
    assert {"tree/below/.wh.two", ".wh.empty", "etc", "etc/deep", "etc/passwd"} <= entries.keys()
    links = {name: each.linkname for name, each in entries.items() if each.islnk()}
    assert links in ({"twin": "etc/0001"}, {"etc/0001": "twin"})
    assert not any("trusted.overlay" in key for each in entries.values() for key in each.pax_headers)


def test_holes_are_zeros_in_a_layer_and_what_only_holds_others_is_there_but_once(rootfs: Rootfs) -> None:
    content = b"a" * 5000 + bytes(70_000) + b"b"
    sparse = b"2\n0\n5000\n75000\n1\n".ljust(512, b"\0")
    pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "./etc/deep/holes",
           "GNU.sparse.realsize": "75001"}  # fmt: skip
    written = archive(
        [
            directory("./"),
            directory("./etc"),
            directory("./etc/deep", mode=0o750, uid=5),
            member("GNUSparseFile.0/holes", sparse + b"a" * 5000 + b"b", pax_headers=pax),
            directory("./tree"),
            directory("./tree/below"),
        ]
    )
    layer = told(written, rootfs, lambda pieces, below: b"".join(upper_layer(pieces, below)))
    with tarfile.open(fileobj=io.BytesIO(layer)) as listed:
        assert listed.getnames() == ["etc", "etc/deep", "etc/deep/holes"]
        file = listed.extractfile("etc/deep/holes")
        assert file is not None
        assert file.read() == content


@pytest.mark.parametrize(
    ("entry", "error", "words"),
    [
        (member("./a/../../b"), Corrupt, "impossible name"),
        (member("./x", pax_headers={"SCHILY.xattr.trusted.overlay.redirect": "/y"}), UsageError, "elsewhere"),
        (member("./x", pax_headers={"SCHILY.xattr.trusted.overlay.metacopy": ""}), UsageError, "elsewhere"),
        (member("."), Corrupt, "begin with a directory"),
        (member("./.wh.x"), UsageError, "in a layer its name means"),
        (hard_link("./x", "./dev/y"), Corrupt, "in no layer"),
    ],
)
def test_what_no_overlay_of_ours_writes_is_refused(
    rootfs: Rootfs, entry: Member, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        told(archive([entry]), rootfs, lambda it, below: list(upper_layer(it, below, apart_from=("/dev",))))


def test_a_tar_that_is_cut_short_is_refused(rootfs: Rootfs) -> None:
    whole = archive([directory("./"), member("./x", b"x" * 5000)])
    with pytest.raises(Corrupt):
        told(whole[:3000], rootfs, upper_changes)


def without_sockets(found: dict[bytes, Seen]) -> dict[bytes, Seen]:
    return {path: it for path, it in found.items() if not stat.S_ISSOCK(it.mode)}
