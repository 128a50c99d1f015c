"""A damaged or hostile ext4 image is read, or Corrupt, and nothing else: no hang, no other error."""

from __future__ import annotations

import os
import random
import resource
import shutil
import stat
import struct
import subprocess
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from firkin.errors import Corrupt
from firkin.ext4.checksum import extend, state_of, stored
from firkin.ext4.reader.file_system import FileSystem
from firkin.ext4.reader.inode import EXTENTS, Inode
from firkin.machine.qcow2_disk import Disk
from firkin.snapshot.diff import changes
from firkin.snapshot.stack import Stack
from tests.support.ext4 import DEBUGFS
from tests.support.kernel_ext4 import Changes, mounted
from tests.support.layers import build, directory, member, symlink

MIB, BLOCK = 1 << 20, 4096

TREE = [
    directory("d"),
    directory("d/e"),
    *(member(f"d/e/{number:03d}-{'n' * 60}", b"%d" % number) for number in range(150)),
    member("d/file", bytes(range(256)) * 200),
    member("attributes", b"x", pax_headers={"SCHILY.xattr.user.long": "v" * 3000}),
    member("few", b"x", pax_headers={"SCHILY.xattr.user.short": "v"}),
    symlink("fast", "d/file"),
    symlink("slow", "t" * 300),
]


def image_of(place: Path) -> Path:
    """An image that may be written to."""
    copy = place / "image.ext4"
    shutil.copyfile(build(place / "r", TREE, size_bytes=16 * MIB).image_path, copy)
    return copy


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return image_of(tmp_path)


@pytest.fixture(params=["made", pytest.param("changed", marks=pytest.mark.root)])
def lived(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An image as it was made, and one that a kernel changed: with extent trees, and gaps in its lists."""
    image = image_of(tmp_path)
    if request.param == "changed":
        with mounted(image, tmp_path / "mnt") as root:
            Changes(root, 7).make(80)
            with (root / "scattered").open("wb") as file:
                for place in range(0, 900, 2):
                    file.seek(place * BLOCK)
                    file.write(b"x")
                    file.flush()
    return image


def everything(image: Path) -> list[tuple[object, ...]]:
    """All that the reader tells, contents in short."""
    found: list[tuple[object, ...]] = []
    with Disk.open([], image) as disk:
        files = FileSystem(disk)
        for path, inode in files.walk():
            told = (
                path,
                inode.mode,
                inode.uid,
                inode.gid,
                inode.size,
                inode.links,
                inode.rdev,
                inode.mtime_ns,
            )
            target = files.target(inode) if inode.kind == stat.S_IFLNK else b""
            pieces = files.data(inode) if inode.kind == stat.S_IFREG else ()
            content = tuple((offset, hash(piece)) for offset, piece in pieces)
            found.append((*told, target, content, tuple(files.xattrs(inode).items())))
    return found


# --- flipped bits -----------------------------------------------------------------------------------------


def metadata_blocks(image: Path) -> list[int]:
    """The blocks that are used and hold no file's content: what the checksums guard, and bitmaps."""
    with Disk.open([], image) as disk:
        files = FileSystem(disk)
        content: set[int] = set()
        for _, inode in files.walk():
            if inode.kind in (stat.S_IFREG, stat.S_IFLNK) and (
                inode.kind == stat.S_IFREG or inode.has_blocks
            ):
                for _, start, count in files.mappings(inode):
                    content.update(range(start, start + count))
    raw = image.read_bytes()
    blocks = (at // BLOCK for at in range(0, len(raw), BLOCK) if any(raw[at : at + BLOCK]))
    return [block for block in blocks if block not in content]


def test_a_flipped_bit_in_metadata_is_found_or_changes_nothing(lived: Path) -> None:
    sound, raw = everything(lived), bytearray(lived.read_bytes())
    blocks, rng = metadata_blocks(lived), random.Random(1)
    outcomes = {"corrupt": 0, "read": 0}
    for _ in range(250):
        at, bit = rng.choice(blocks) * BLOCK + rng.randrange(BLOCK), 1 << rng.randrange(8)
        flip(lived, at, bit)
        try:
            assert everything(lived) == sound, f"a flip of {bit:#x} at {at} was believed"
            outcomes["read"] += 1
        except Corrupt:
            outcomes["corrupt"] += 1
        flip(lived, at, bit)
    assert lived.read_bytes() == raw
    assert min(outcomes.values()) > 10


def flip(image: Path, at: int, bit: int) -> None:
    with image.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ bit]))


# --- changed on purpose, with checksums that are right ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sealed:
    """A structure of an image, `size` bytes at `at`, and what makes its checksum right again."""

    at: int
    size: int
    seal: Callable[[bytearray], None]


def structures(image: Path) -> list[Sealed]:
    """Everything that has a checksum and is used by some file."""
    raw = image.read_bytes()
    found = [Sealed(1024, 1024, lambda it: put(it, 0x3FC, stored(state_of(bytes(it[:0x3FC])))))]
    with Disk.open([], image) as disk:
        files = FileSystem(disk)
        for _, inode in files.walk():
            found.append(Sealed(raw.index(files.raw_inode(inode.number)), 256, inode_seal(inode, files)))
            if inode.kind == stat.S_IFDIR:
                found += [block(at, list_seal(inode)) for _, at, _ in files.mappings(inode)]
            if inode.attribute_block:
                found.append(block(inode.attribute_block, attribute_seal(inode, files)))
            found += [block(at, node_seal(inode)) for at in tree_blocks(inode, files)]
    return found


def tree_blocks(inode: Inode, files: FileSystem) -> list[int]:
    seen: list[int] = []
    read = files._tree_block

    def noted(number: int) -> bytes:
        seen.append(number)
        return read(number)

    files._tree_block = noted  # type: ignore[method-assign]
    if inode.flags & EXTENTS:
        list(files.mappings(inode))
    files._tree_block = read  # type: ignore[method-assign]
    return seen


def block(number: int, seal: Callable[[bytearray], None]) -> Sealed:
    return Sealed(number * BLOCK, BLOCK, seal)


def put(raw: bytearray, at: int, value: int) -> None:
    struct.pack_into("<I", raw, at, value)


def inode_seal(inode: Inode, files: FileSystem) -> Callable[[bytearray], None]:
    def seal(raw: bytearray) -> None:
        raw[124:126] = raw[130:132] = b"\0\0"
        state = extend(files.geometry.seed, struct.pack("<I", inode.number) + bytes(raw[100:104]))
        checksum = stored(extend(state, bytes(raw)))
        struct.pack_into("<H", raw, 124, checksum & 0xFFFF)
        struct.pack_into("<H", raw, 130, checksum >> 16)

    return seal


def list_seal(inode: Inode) -> Callable[[bytearray], None]:
    return lambda raw: put(raw, BLOCK - 4, stored(extend(inode.state, bytes(raw[: BLOCK - 12]))))


def node_seal(inode: Inode) -> Callable[[bytearray], None]:
    return lambda raw: put(raw, BLOCK - 4, stored(extend(inode.state, bytes(raw[: BLOCK - 4]))))


def attribute_seal(inode: Inode, files: FileSystem) -> Callable[[bytearray], None]:
    def seal(raw: bytearray) -> None:
        put(raw, 16, 0)
        number = struct.pack("<Q", inode.attribute_block)
        put(raw, 16, stored(extend(files.geometry.seed, number + bytes(raw))))

    return seal


VALUES = (0, 1, 2, 3, 11, 255, 4095, 4096, 32768, 32769, 65535, 0x7FFFFFFF, 0xFFFFFFFF)


def changed(raw: bytearray, rng: random.Random) -> None:
    """One number of a structure becomes another that is worth a try."""
    size = rng.choice([1, 2, 4])
    at = rng.randrange(0, len(raw) - 4)
    at -= at % size
    if rng.random() < 0.5:
        at = min(at, at % 160)  # where most structures have their numbers
    value = rng.choice(VALUES) if rng.random() < 0.7 else rng.getrandbits(32)
    raw[at : at + size] = value.to_bytes(8, "little")[:size]


def test_a_guest_that_writes_right_checksums_gets_no_further(lived: Path, tmp_path: Path) -> None:
    places, rng = structures(lived), random.Random(2)
    assert len(places) > 100
    sound = tmp_path / "sound"
    shutil.copyfile(lived, sound)
    outcomes = {"corrupt": 0, "read": 0}
    with lived.open("r+b", buffering=0) as file:
        for _ in range(200):
            place = rng.choice(places)
            before = os.pread(file.fileno(), place.size, place.at)
            raw = bytearray(before)
            for _ in range(rng.randrange(1, 3)):
                changed(raw, rng)
            place.seal(raw)
            os.pwrite(file.fileno(), raw, place.at)
            try:
                everything(lived)
                list(changes(Stack("sound", (), sound), Stack("hostile", (), lived)))
                outcomes["read"] += 1
            except Corrupt:
                outcomes["corrupt"] += 1
            os.pwrite(file.fileno(), before, place.at)
    assert min(outcomes.values()) > 20
    assert list(changes(Stack("sound", (), sound), Stack("itself", (), lived))) == []


# --- made on purpose --------------------------------------------------------------------------------------


def debugfs(image: Path, *commands: str) -> None:
    subprocess.run(
        [DEBUGFS, "-w", "-f", "-", image],
        input="\n".join(commands),
        text=True,
        check=True,
        capture_output=True,
    )


@pytest.mark.parametrize(
    ("commands", "words"),
    [
        (["ln d d/e/loop"], "directory in two places"),
        (["ln / d/root"], "directory in two places"),
        (["sif d size 0"], "size of 0"),
        (["sif d size 4095"], "size of 4095"),
        (["sif d/e size 0x4000000000"], "has no block"),
        (["sif d/file mode 0120644"], "claims a size"),
        (["sif d/file links_count 0"], "not in use"),
        (["sif d/file block[5] 0x7fffffff"], "beyond the end"),
        (["sif attributes file_acl 0xffffff"], "beyond the end"),
        (["sif slow size 0"], "target"),
        (["sif fast size 59"], "target"),
        (["ssv feature_incompat 0x92c2"], "inline_data|has not"),
        (["ssv log_block_size 0"], "layout"),
        (["ssv blocks_count 0x7fffffff"], "claims"),
        (["ssv inodes_per_group 32"], "inodes"),
    ],
)
def test_what_no_kernel_writes_is_refused(image: Path, commands: list[str], words: str) -> None:
    debugfs(image, *commands)
    with pytest.raises(Corrupt, match=words):
        everything(image)


def test_a_directory_of_one_block_that_is_mapped_again_and_again_ends_soon(image: Path) -> None:
    with Disk.open([], image) as disk:
        files = FileSystem(disk)
        inode = files.lookup(b"/d/e")
        raw = image.read_bytes()
        at, seal = raw.index(files.raw_inode(inode.number)), inode_seal(inode, files)
        _, first, _ = next(iter(files.mappings(inode)))
    empty = bytearray(BLOCK)
    struct.pack_into("<IHBB", empty, 0, 0, BLOCK - 12, 0, 0)
    empty[BLOCK - 12 : BLOCK - 4] = b"\0\0\0\0\x0c\0\0\xde"
    list_seal(inode)(empty)
    hostile = bytearray(raw[at : at + 256])
    own = raw[first * BLOCK : (first + 1) * BLOCK]
    node = bytearray(BLOCK)
    struct.pack_into("<HHHHI", node, 0, 0xF30A, 340, 340, 0, 0)
    struct.pack_into("<IHHI", node, 12, 0, 1, 0, first)
    for place in range(1, 340):
        struct.pack_into("<IHHI", node, 12 + 12 * place, place, 1, 0, first + 1)
    node_seal(inode)(node)
    struct.pack_into("<HHHHIIIHH", hostile, 40, 0xF30A, 1, 4, 1, 0, 0, first + 2, 0, 0)
    struct.pack_into("<I", hostile, 4, 340 * BLOCK)
    seal(hostile)
    with image.open("r+b") as file:
        for offset, content in (
            (first * BLOCK, own),
            ((first + 1) * BLOCK, empty),
            ((first + 2) * BLOCK, node),
            (at, hostile),
        ):
            file.seek(offset)
            file.write(content)
    with Disk.open([], image) as disk:
        files = FileSystem(disk)
        inode = files.lookup(b"/d/e")
        assert len(files.entries(inode)) < 150
        with pytest.raises(Corrupt, match="blocks that others have"):
            list(map(files.entries, [inode] * 10_000))


def test_a_tree_that_leads_to_itself_ends_at_once(image: Path) -> None:
    with Disk.open([], image) as disk:
        files = FileSystem(disk)
        inode = files.lookup(b"/d/file")
        at = image.read_bytes().index(files.raw_inode(inode.number))
        seal, own = inode_seal(inode, files), 3000
        node = bytearray(BLOCK)
        struct.pack_into("<HHHHI", node, 0, 0xF30A, 1, 340, 1, 0)
        struct.pack_into("<IIHH", node, 12, 0, own, 0, 0)
        node_seal(inode)(node)
        hostile = bytearray(files.raw_inode(inode.number))
    for depth in (1, 2, 5, 6, 65535):
        struct.pack_into("<HHHHIIIHH", hostile, 40, 0xF30A, 1, 4, depth, 0, 0, own, 0, 0)
        seal(hostile)
        with image.open("r+b") as file:
            file.seek(own * BLOCK)
            file.write(node)
            file.seek(at)
            file.write(hostile)
        with pytest.raises(Corrupt, match="impossible node"):
            everything(image)


@pytest.mark.parametrize(
    ("extents", "words"),
    [
        ([(0, 1, 3000), (0, 1, 3001)], "out of order"),
        ([(4, 2, 3000), (0, 1, 3002)], "out of order"),
        ([(0, 3, 3000), (2, 1, 3003)], "out of order"),
        ([(0xFFFFFFFF, 2, 3000)], "out of order"),
        ([(0, 0, 3000)], "out of order"),
        ([(0, 1, 4096)], "beyond the end"),
        ([(0, 2, 4095)], "beyond the end"),
        ([(0, 1, 0)], "beyond the end"),
        ([(0, 32769, 4095), (1, 1, 4095)], ""),
    ],
)
def test_extents_lie_on_the_disk_and_follow_each_other(
    image: Path, extents: list[tuple[int, int, int]], words: str
) -> None:
    with Disk.open([], image) as disk:
        files = FileSystem(disk)
        inode = files.lookup(b"/d/file")
        raw = bytearray(files.raw_inode(inode.number))
        at, seal = image.read_bytes().index(raw), inode_seal(inode, files)
    struct.pack_into("<HHHH", raw, 40, 0xF30A, len(extents), 4, 0)
    for place, (logical, length, start) in enumerate(extents):
        struct.pack_into("<IHHI", raw, 52 + 12 * place, logical, length, 0, start)
    seal(raw)
    with image.open("r+b") as file:
        file.seek(at)
        file.write(raw)
    with pytest.raises(Corrupt, match=words) if words else nullcontext():
        everything(image)


@pytest.mark.root
def test_directories_deeper_than_any_path_are_corrupt_and_take_no_memory(image: Path, tmp_path: Path) -> None:
    with mounted(image, tmp_path / "mnt") as root:
        fd = os.open(root, os.O_RDONLY)
        for _ in range(300):
            os.mkdir(b"n" * 100, dir_fd=fd)
            below = os.open(b"n" * 100, os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = below
        os.close(fd)
    with pytest.raises(Corrupt, match="4096 bytes"):
        everything(image)
    sound = build(tmp_path / "r", TREE, size_bytes=16 * MIB).image_path
    with pytest.raises(Corrupt, match="4096 bytes"):
        list(changes(Stack("sound", (), sound), Stack("deep", (), image)))


def test_sizes_that_are_lies_take_no_memory(image: Path, tmp_path: Path) -> None:
    debugfs(image, "sif d/file size 0xfffffffffff", "sif few size 0xfffffffffff")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with suppress(Corrupt):
        everything(image)
    sound = build(tmp_path / "r", TREE, size_bytes=16 * MIB).image_path
    assert ("C", "/few") in list(changes(Stack("sound", (), sound), Stack("large", (), image)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
