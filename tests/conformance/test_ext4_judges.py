"""Our ext4 writer before its judges: e2fsck, debugfs, the kernel's own driver, GNU tar, and umoci."""

from __future__ import annotations

import os
import stat
import subprocess
import tarfile
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firkin import machine as machines
from firkin.agent.streams import StreamReceiver
from firkin.machine.spec import Disk, MachineSpec
from firkin.rootfs import Rootfs
from firkin.settings import Settings
from tests.support.ext4 import DEBUGFS, assert_clean
from tests.support.images import compressed, debian_tar
from tests.support.layers import Member, Shelf, archive, directory, hard_link, member, symlink
from tests.support.machines import BUSYBOX, guest, spawn_op

GIB = 1 << 30
MANY = 12_000


def awkward() -> list[Member]:
    """What Debian has none of: a large directory, odd times, attributes, devices, names in all scripts."""
    names = [f"{number:05d}-name-in-a-large-directory" for number in range(MANY)]
    attributes = {"SCHILY.xattr.user.long": "v" * 3000, "SCHILY.xattr.user.short": "s"}
    capability = {"SCHILY.xattr.security.capability": "\1\0\0\2" + "\0\4\0\0" + "\0" * 12}
    return [
        directory("awkward", mode=0o1777, mtime=1_111_111_111.123456789),
        directory("awkward/many"),
        *(member(f"awkward/many/{name}", uid=number) for number, name in enumerate(names)),
        member("awkward/early", mtime=-86_400, pax_headers={"mtime": "-86399.25"}),
        member("awkward/late", pax_headers={"mtime": "9999999999.999999999"}),
        member("awkward/attributes", b"x" * 5000, pax_headers=attributes),
        member("awkward/capable", b"x", mode=0o4755, pax_headers=capability),
        hard_link("awkward/linked", "awkward/attributes"),
        symlink("awkward/slow", "t" * 300),
        member("awkward/ünï 漢字\n", b"x" * 4096),
        member("awkward/char", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
        member("awkward/block", type=tarfile.BLKTYPE, devmajor=300, devminor=70_000),
        member("awkward/fifo", type=tarfile.FIFOTYPE),
        directory("awkward/" + "/".join(["deep"] * 1)),
        *(directory("awkward/" + "/".join(["deep"] * depth)) for depth in range(2, 100)),
    ]


@pytest.fixture(scope="module")
def debian_blob() -> Path:
    blob = compressed(debian_tar(), "gzip")
    assert isinstance(blob, Path)
    return blob


def debian(blob: Path, place: Path, *more: list[Member], size_bytes: int = GIB) -> Rootfs:
    shelf = Shelf()
    layers = [shelf.file(blob, debian_tar()), *(shelf.layer(archive(members)) for members in more)]
    return shelf.build(layers, place, size_bytes)


def test_debians_files_read_back_byte_for_byte(debian_blob: Path, tmp_path: Path) -> None:
    image = debian(debian_blob, tmp_path / "r").image_path
    assert_clean(image)
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run([DEBUGFS, "-R", f"rdump / {out}", image], capture_output=True, check=True)
    subprocess.run(["chmod", "-R", "u+rwX", out], check=True)
    read = 0
    with tarfile.open(debian_tar()) as tar:
        for info in tar:
            if info.isreg():
                content = tar.extractfile(info)
                assert content is not None
                assert (out / info.name).read_bytes() == content.read(), info.name
                read += 1
    assert read > 3000


@pytest.mark.slow
def test_a_real_image_is_the_same_to_the_byte_each_time(debian_blob: Path, tmp_path: Path) -> None:
    one, two = (debian(debian_blob, tmp_path / place).image_path for place in ("a", "b"))
    assert subprocess.run(["cmp", one, two], check=False).returncode == 0


# --- the kernel, as root ----------------------------------------------------------------------------------


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    at.mkdir()
    subprocess.run(["mount", "-o", "loop,ro,noload", image, at], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True)


def walk(root: Path) -> dict[str, tuple[object, ...]]:
    """All that stat, readlink, listxattr and read say about each path under `root`."""
    found = {}
    links: dict[int, str] = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for path in [folder, *(os.path.join(folder, name) for name in sorted(folders + files))]:
            state = os.lstat(path)
            name = os.fsdecode(os.path.relpath(path, os.fsencode(root)))
            found[name] = (
                *(oct(state.st_mode), state.st_uid, state.st_gid, state.st_mtime_ns),
                state.st_rdev if stat.S_IFMT(state.st_mode) in (stat.S_IFCHR, stat.S_IFBLK) else 0,
                state.st_size if stat.S_ISREG(state.st_mode) else 0,
                state.st_nlink,
                links.setdefault(state.st_ino, name) if stat.S_ISREG(state.st_mode) else "",
                os.readlink(path) if stat.S_ISLNK(state.st_mode) else b"",
                Path(os.fsdecode(path)).read_bytes() if stat.S_ISREG(state.st_mode) else b"",
                {
                    n: os.getxattr(path, n, follow_symlinks=False)
                    for n in os.listxattr(path, follow_symlinks=False)
                },
            )
    return found


def members(*tars: Path) -> int:
    """How many different paths GNU tar lists in them."""
    listed = (
        subprocess.run(["tar", "--quoting-style=escape", "-tf", tar], capture_output=True, check=True).stdout
        for tar in tars
    )
    return len({line.removeprefix(b"./").rstrip(b"/") for lines in listed for line in lines.splitlines()})


def attributes_of(path: bytes) -> dict[str, bytes]:
    found = os.listxattr(path, follow_symlinks=False)
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in found}


@pytest.mark.root
@pytest.mark.slow
def test_the_kernel_sees_what_gnu_tar_unpacks(debian_blob: Path, tmp_path: Path) -> None:
    image = debian(debian_blob, tmp_path / "r", awkward()).image_path
    assert_clean(image)
    reference = tmp_path / "reference"
    reference.mkdir()
    upper = tmp_path / "upper.tar"
    upper.write_bytes(archive(awkward()))
    for tar in (debian_tar(), upper):
        flags = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf"]
        subprocess.run(["tar", "-C", reference, *flags, tar], check=True)
    with mounted(image, tmp_path / "mnt") as root:
        ours, theirs = walk(root), walk(reference)
    assert ours.keys() == theirs.keys()
    assert [name for name in theirs if ours[name] != theirs[name] and name != "."] == []
    assert len(ours) == members(debian_tar(), upper)


LOWER = [
    directory("./", mode=0o755),
    *(directory(name) for name in ("keep", "opaque", "gone", "replaced", "usr", "usr/lib", "meta")),
    *(member(name, name.encode()) for name in ("keep/a", "keep/b", "opaque/old", "gone/x", "replaced/x")),
    *(member(name, name.encode()) for name in ("file", "c")),
    symlink("lib", "usr/lib"),
    symlink("link", "keep"),
    hard_link("keep/hard", "keep/a"),
]
MIDDLE = [
    member("keep/.wh.b"),
    directory("opaque", mode=0o700),
    member("opaque/.wh..wh..opq"),
    member("opaque/new", b"new"),
    member(".wh.gone"),
    member("replaced", b"now a file"),
    directory("meta", mode=0o711, uid=3),
    member("usr/lib/so", b"so"),
    hard_link("again", "keep/a"),
]
UPPER = [
    directory("file"),
    member("file/inside", b"now a directory"),
    directory("gone", mode=0o750),
    member("gone/y", b"back"),
    member("keep/.wh.a"),
    member("c", b"changed" * 2000),
    symlink("replaced", "c"),
    member("link", b"no link any more"),
]


@pytest.mark.root
def test_umoci_unpacks_layers_to_the_same_tree(tmp_path: Path) -> None:
    layout, bundle = tmp_path / "layout", tmp_path / "bundle"
    umoci = ["umoci", "--log=error"]
    subprocess.run([*umoci, "init", "--layout", layout], check=True)
    subprocess.run([*umoci, "new", "--image", f"{layout}:t"], check=True)
    shelf, layers = Shelf(), []
    for number, members in enumerate((LOWER, MIDDLE, UPPER)):
        tar = tmp_path / f"{number}.tar"
        tar.write_bytes(archive(members))
        subprocess.run([*umoci, "raw", "add-layer", "--image", f"{layout}:t", tar], check=True)
        layers.append(shelf.layer(tar.read_bytes(), "gzip"))
    subprocess.run([*umoci, "unpack", "--image", f"{layout}:t", bundle], check=True)
    image = shelf.build(layers, tmp_path / "r", GIB).image_path
    assert_clean(image)
    with mounted(image, tmp_path / "mnt") as root:
        ours, theirs = walk(root), walk(bundle / "rootfs")
    assert ours.keys() == theirs.keys()
    # A directory in which umoci deleted something has the time of that; ours has the one the layers say.
    differ = [
        name for name in theirs if ours[name] != theirs[name] and not (bundle / "rootfs" / name).is_dir()
    ]
    assert differ == []


# --- the kernel in a machine ------------------------------------------------------------------------------


def described(*tars: Path) -> dict[str, str]:
    """The tree that tar archives describe, later ones on top, each file as walk.c tells it."""
    found: dict[str, str] = {}
    for path in tars:
        with tarfile.open(path) as tar:
            for info in tar:
                name = os.path.normpath("/" + info.name)
                if info.islnk():
                    found[name] = found[os.path.normpath("/" + info.linkname)]
                else:
                    found[name] = _described(info, tar)
    return found


def _described(info: tarfile.TarInfo, tar: tarfile.TarFile) -> str:
    kinds = {tarfile.SYMTYPE: stat.S_IFLNK, tarfile.DIRTYPE: stat.S_IFDIR, tarfile.CHRTYPE: stat.S_IFCHR}
    kinds |= {tarfile.BLKTYPE: stat.S_IFBLK, tarfile.FIFOTYPE: stat.S_IFIFO}
    mode = kinds.get(info.type, stat.S_IFREG) | (0o777 if info.issym() else info.mode)
    device = f"{info.devmajor}:{info.devminor}" if info.ischr() or info.isblk() else "0:0"
    content = tar.extractfile(info) if info.isreg() else None
    adler32 = 0 if content is None else zlib.adler32(content.read())
    size = info.size if info.isreg() else 0
    target = info.linkname.encode().hex() if info.issym() else ""
    owner = f"{info.uid} {info.gid}"
    return f"{mode} {owner} {_mtime(info)} {device} {size} {adler32} /{target} {_attributes(info)}"


def _attributes(info: tarfile.TarInfo) -> str:
    prefix = "SCHILY.xattr."
    pairs = [
        (key.removeprefix(prefix), value) for key, value in info.pax_headers.items() if key.startswith(prefix)
    ]
    return "".join(f"{key}={value.encode('utf-8', 'surrogateescape').hex()}," for key, value in sorted(pairs))


def _mtime(info: tarfile.TarInfo) -> str:
    text = info.pax_headers.get("mtime", str(int(info.mtime)))
    whole, _, fraction = text.lstrip("-").partition(".")
    value = int(whole) * 10**9 + int(fraction[:9].ljust(9, "0"))
    seconds, nanoseconds = divmod(-value if text.startswith("-") else value, 10**9)
    return f"{seconds}:{nanoseconds}"


def told(output: bytes) -> tuple[int, dict[str, str]]:
    """The size of the file system, and each file, from what walk.c printed."""
    size, *lines = output.decode().splitlines()
    found = {}
    for line in lines:
        name, _, rest = line.partition(" ")
        *fields, attributes = rest.split(" ")
        in_order = "".join(f"{each}," for each in sorted(filter(None, attributes.split(","))))
        found["/" + os.fsdecode(bytes.fromhex(name[1:]))] = " ".join([*fields, in_order])
    return int(size), found


@pytest.fixture
def walker(tmp_path: Path) -> Path:
    source, program = Path(__file__).parents[1] / "support" / "walk.c", tmp_path / "walk"
    subprocess.run(["gcc", "-O2", "-static", "-o", program, source], check=True)
    return program


@pytest.mark.machine
@pytest.mark.slow
async def test_a_machine_sees_the_tree_that_the_layers_describe(
    walker: Path, settings: Settings, tmp_path: Path
) -> None:
    upper = tmp_path / "upper.tar"
    programs = [("usr/bin/busybox", Path(BUSYBOX)), ("usr/bin/walk", walker)]
    added = [member(name, path.read_bytes(), mode=0o755) for name, path in programs]
    upper.write_bytes(archive([*awkward(), *added]))
    shelf, base = Shelf(), debian_tar()
    layers = [shelf.file(base, base), shelf.layer(upper.read_bytes(), "zstd")]
    image = shelf.build(layers, tmp_path / "r", GIB).image_path
    overlay = tmp_path / "disk.qcow2"
    machines.create_overlay(overlay, image, 20 * GIB)
    spec = MachineSpec(name="judge", disks=(Disk(path=overlay, format="qcow2", backing=image),))
    async with guest(spec, settings, tmp_path / "machine", grow_bytes=20 * GIB) as it:
        process = await it.client.spawn(spawn_op(["/usr/bin/walk"]))
        output = b"".join([piece async for piece in pieces(process.stdout)])
        assert (await process.wait()).status == 0
    size, seen = told(output)
    expected = described(base, upper)
    assert size > 19 * GIB  # the kernel has grown the file system to its disk
    # What the container's own set-up mounts hides what the image has there; nothing else may differ.
    covered = {name for name in expected if name not in seen}
    assert {name.split("/")[1] for name in covered} <= {"dev", "proc", "sys"}
    assert set(seen) <= set(expected)
    assert [name for name in seen if seen[name] != expected[name]] == []
    assert len(seen) + len(covered) == members(base, upper)


async def pieces(stream: StreamReceiver) -> AsyncIterator[bytes]:
    while piece := await stream.read(1 << 16):
        yield piece
