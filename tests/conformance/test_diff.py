"""What changed between two disks, with the kernel's word on each of them as the judge."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firkin.errors import Corrupt
from firkin.events import Event, subscribed
from firkin.machine import create_overlay
from firkin.snapshot.diff import changes
from firkin.snapshot.stack import Stack
from tests.support.kernel_ext4 import Changes, Seen, expected, mounted, seen
from tests.support.layers import build, directory, hard_link, member, symlink

MIB, CLUSTER = 1 << 20, 64 << 10
SIZE = 96 * MIB

FIRST = [
    directory("etc"),
    directory("etc/deep"),
    directory("empty"),
    member("etc/passwd", b"root" * 30_000),
    member("etc/deep/file", b"deep"),
    *(member(f"etc/{number:04d}", b"%d" % number) for number in range(300)),
    symlink("link", "etc/passwd"),
    hard_link("again", "etc/passwd"),
    member("attributes", b"x", pax_headers={"SCHILY.xattr.user.long": "v" * 3000}),
]


class Line:
    """A disk over an image, and the layers it has, of which the top is written to."""

    def __init__(self, place: Path, image: Path, layers: tuple[Path, ...] = ()) -> None:
        self.place, self.image, self.layers = place, image, layers

    @property
    def stack(self) -> Stack:
        return Stack("the disk", self.layers, self.image)

    def grown(self, name: str) -> Line:
        """One more layer, empty."""
        top = self.place / f"{name}.qcow2"
        if self.layers:
            create_overlay(top, self.layers[0], SIZE, backing_format="qcow2")
        else:
            create_overlay(top, self.image, SIZE)
        return Line(self.place, self.image, (top, *self.layers))

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        """The disk for the kernel to change. Which it does to a copy, whose clusters then go into the top."""
        copy = self.place / "copy"
        self._read_to(copy)
        before = copy.read_bytes()
        with mounted(copy, self.place / "mnt") as root:
            yield root
        write_clusters(self.layers[0], before, copy.read_bytes())

    def seen(self) -> dict[bytes, Seen]:
        copy = self.place / "copy"
        self._read_to(copy)
        with mounted(copy, self.place / "mnt", "ro") as root:
            return seen(root)

    def _read_to(self, copy: Path) -> None:
        source = self.layers[0] if self.layers else self.image
        form = "qcow2" if self.layers else "raw"
        subprocess.run(["qemu-img", "convert", "-f", form, "-O", "raw", source, copy], check=True)


def write_clusters(layer: Path, before: bytes, after: bytes) -> None:
    """Let QEMU write to `layer` what has changed, in clusters as a machine's writes would fill them."""
    changed = (
        at for at in range(0, len(after), CLUSTER) if before[at : at + CLUSTER] != after[at : at + CLUSTER]
    )
    with tempfile.TemporaryDirectory() as place:
        commands = []
        for at in changed:
            piece = Path(place) / str(at)
            piece.write_bytes(after[at : at + CLUSTER])
            commands.append(f"write -q -s {piece} {at} {piece.stat().st_size}\n")
        done = subprocess.run(
            ["qemu-io", "-f", "qcow2", layer],
            input="".join(commands),
            check=True,
            capture_output=True,
            text=True,
        )
    assert "rror" not in done.stdout + done.stderr


@pytest.fixture
def image(tmp_path: Path) -> Line:
    return Line(tmp_path, build(tmp_path / "r", FIRST, size_bytes=SIZE).image_path)


def told(old: Line, new: Line) -> list[tuple[str, bytes]]:
    return [(kind, os.fsencode(path)) for kind, path in changes(old.stack, new.stack)]


@pytest.mark.root
@pytest.mark.parametrize("seed", range(4))
def test_random_changes_are_all_told_and_nothing_else(image: Line, seed: int) -> None:
    lines, views = [image], [image.seen()]
    for number in range(3):
        line = lines[-1].grown(f"{number}")
        with line.mounted() as root:
            Changes(root, 100 * seed + number).make(60)
            views.append(seen(root))
        lines.append(line)
    branch = lines[1].grown("branch")
    with branch.mounted() as root:
        Changes(root, 100 * seed + 50).make(30)
        views.append(seen(root))
    lines.append(branch)
    for old, before in zip(lines, views, strict=True):
        for new, after in zip(lines, views, strict=True):
            assert told(old, new) == expected(before, after)
    assert len(told(lines[0], lines[-1])) > 20


@pytest.mark.root
@pytest.mark.parametrize("shared", [0, 1, 2])
def test_content_that_changed_under_the_same_size_and_time_is_told(image: Line, shared: int) -> None:
    for number in range(shared):
        image = image.grown(f"below{number}")
        with image.mounted() as root:
            (root / f"new{number}").write_bytes(b"new" * 50_000)
    line = image.grown("top")
    with line.mounted() as root:
        for name in ("etc/passwd", "etc/deep/file"):
            path = root / name
            before = path.stat()
            with path.open("r+b") as file:
                file.write(b"X")
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert told(image, line) == [
        ("C", b"/again"),
        ("C", b"/etc"),
        ("C", b"/etc/deep"),
        ("C", b"/etc/deep/file"),
        ("C", b"/etc/passwd"),
    ]


@pytest.mark.root
def test_what_was_only_read_or_written_as_it_was_is_not_told(image: Line) -> None:
    line = image.grown("top")
    with line.mounted() as root:
        path = root / "etc/passwd"
        before = path.stat()
        path.write_bytes(path.read_bytes())
        for name in (path, root / "attributes"):
            os.utime(name, ns=(5, before.st_mtime_ns))
        os.chmod(root / "link", 0o600)
        os.chmod(root / "link", before.st_mode)
        (root / "etc/deep/passing").touch()
        (root / "etc/deep/passing").unlink()
    assert told(image, line) == []


@pytest.mark.root
def test_the_root_directory_is_told_for_its_mode_and_for_nothing_in_it(image: Line) -> None:
    line = image.grown("top")
    with line.mounted() as root:
        (root / "new").mkdir()
        (root / "empty").rmdir()
        (root / "again").unlink()
        (root / "again").mkdir()
        (root / "again/inside").touch()
    assert told(image, line) == [("C", b"/again"), ("A", b"/again/inside"), ("D", b"/empty"), ("A", b"/new")]
    with line.mounted() as root:
        root.chmod(0o711)
    assert told(image, line)[0] == ("C", b"/")


def test_disks_of_different_images_are_compared_whole(tmp_path: Path) -> None:
    same = [directory("d"), member("d/file", b"x" * 100_000), symlink("link", "d")]
    one = build(tmp_path / "r", [*same, member("only/one", b"1")]).image_path
    two = build(tmp_path / "r", [member("first"), *same], size_bytes=200 * MIB).image_path
    found = list(changes(Stack("one", (), one), Stack("two", (), two)))
    assert found == [("A", "/first"), ("D", "/only")]
    changed = [same[0], member("d/file", b"x" * 99_999 + b"y"), same[2], member("only/one", b"1")]
    three = build(tmp_path / "r", changed).image_path
    assert list(changes(Stack("one", (), one), Stack("three", (), three))) == [("C", "/d"), ("C", "/d/file")]


@pytest.mark.root
def test_only_what_can_have_changed_is_read(tmp_path: Path) -> None:
    big = [member(f"big{number}", bytes([number]) * (8 * MIB)) for number in range(8)]
    image = Line(tmp_path, build(tmp_path / "r", [*FIRST, *big], size_bytes=SIZE).image_path)
    line = image.grown("top")
    with line.mounted() as root, (root / "big3").open("r+b") as file:
        file.seek(5 * MIB)
        file.write(b"changed")
    before = bytes_read()
    assert told(image, line) == [("C", b"/big3")]
    assert bytes_read() - before < 4 * MIB


def bytes_read() -> int:
    """What this process has read so far, by its kernel's count (proc(5))."""
    return int(Path("/proc/self/io").read_text().split()[1])


def test_an_error_says_which_of_the_disks_is_damaged(tmp_path: Path) -> None:
    image = build(tmp_path / "r", FIRST).image_path
    copy = tmp_path / "copy"
    raw = bytearray(image.read_bytes())
    at = raw.index(b"0123", raw.index(b"0122"))
    raw[at] = ord("9")
    copy.write_bytes(raw)
    with pytest.raises(Corrupt, match="of snapshot web has a block"):
        list(changes(Stack("image", (), image), Stack("snapshot web", (), copy)))


def test_a_disk_has_not_changed_from_itself(tmp_path: Path) -> None:
    image = build(tmp_path / "r", FIRST).image_path
    assert list(changes(Stack("a", (), image), Stack("b", (), image))) == []


@pytest.mark.root
def test_paths_apart_from_which_is_told_leave_no_trace(image: Line) -> None:
    line = image.grown("top")
    with line.mounted() as root:
        (root / "etc/passwd").write_bytes(b"changed")
        (root / "etc/new").touch()
        (root / "empty/in").touch()
        (root / "etc/deep/file").unlink()
    found = changes(
        image.stack, line.stack, apart_from=("/etc/passwd", "/etc/new", "/empty", "/etc/deep/file")
    )
    assert list(found) == [("C", "/again")]


def test_a_comparison_can_be_stopped_at_each_directory_and_closes_its_disks(tmp_path: Path) -> None:
    one = Stack("one", (), build(tmp_path / "r", FIRST).image_path)
    two = Stack("two", (), build(tmp_path / "r", [*FIRST, member("new")]).image_path)
    told: list[str] = []

    def stop(happened: Event) -> None:
        told.append(happened.name)
        if told.count("diff.names") == 2:
            raise InterruptedError

    before = len(os.listdir("/proc/self/fd"))
    with subscribed(stop), pytest.raises(InterruptedError):
        list(changes(one, two))
    assert told[:2] == ["diff", "diff.names"]
    assert len(os.listdir("/proc/self/fd")) == before
