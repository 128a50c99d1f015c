"""Whatever a tar archive holds, its ext4 image holds; tarfile, e2fsck and debugfs are the judges."""

from __future__ import annotations

import stat as modes
import subprocess
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firkin.archive import HARD_LINK, TarReader
from firkin.errors import Corrupt
from tests.support.ext4 import DEBUGFS, assert_clean, names, read, stat
from tests.support.layers import Member, archive, build, directory, hard_link, member, symlink

_LETTERS = "abcXYZ019-_.+é漢 "
_NAMES = st.text(_LETTERS, min_size=1, max_size=40).filter(
    lambda n: n.strip(". ") == n and not n.startswith(".wh.")
)
_TIMES = st.one_of(  # without those from 2310 to 2378, which are not kept
    st.integers(-(2**31), 3 * 2**32 - 2**31 - 1), st.integers(3 * 2**32, 2**34 - 2**31 - 1)
)
_CONTENTS = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda seed, count: bytes(at * seed % 251 for at in range(count)),
        st.integers(1, 250),
        st.integers(0, 20_000),
    ),
)
_COMMON = st.fixed_dictionaries(
    {
        "mode": st.integers(0, 0o7777),
        "uid": st.integers(0, 2**31 - 1),
        "gid": st.integers(0, 2**31 - 1),
        "mtime": _TIMES,
    }
)
_DEVICES = st.tuples(
    st.sampled_from([tarfile.CHRTYPE, tarfile.BLKTYPE]), st.integers(0, 4095), st.integers(0, 2**20 - 1)
)


@st.composite
def trees(draw: st.DrawFn) -> list[Member]:
    """Members of a sound archive: parents first, hard links behind their files, no name twice."""
    folders, files, members = [""], [], []
    for name in draw(st.lists(_NAMES, min_size=1, max_size=25, unique=True)):
        path = draw(st.sampled_from(folders)) + name
        fields = draw(_COMMON)
        kind = draw(st.sampled_from(["file", "file", "directory", "symlink", "device", "fifo", "link"]))
        if kind == "directory":
            folders.append(path + "/")
            members.append(directory(path, **fields))
        elif kind == "symlink":
            members.append(symlink(path, draw(st.text("abc/.é", min_size=1, max_size=100)), **fields))
        elif kind == "device":
            device, major, minor = draw(_DEVICES)
            members.append(member(path, type=device, devmajor=major, devminor=minor, **fields))
        elif kind == "fifo":
            members.append(member(path, type=tarfile.FIFOTYPE, **fields))
        elif kind == "link" and files:
            members.append(hard_link(path, draw(st.sampled_from(files)), **fields))
        else:
            files.append(path)
            members.append(member(path, draw(_CONTENTS), **fields))
    return members


@given(
    members=trees(), form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]), cut=st.integers(1, 5000)
)
@settings(max_examples=100, deadline=None)
def test_the_reader_sees_what_tarfile_sees(members: list[Member], form: int, cut: int) -> None:
    tar = archive(members, form)
    reader = TarReader(tar[at : at + cut] for at in range(0, len(tar), cut))
    seen = [
        (
            e.path.rstrip(b"/"),
            e.kind,
            e.mode,
            e.uid,
            e.gid,
            e.size,
            e.mtime_ns,
            e.link,
            b"".join(reader.content()),
        )
        for e in reader
    ]
    assert seen == [_expected(info, content) for info, content in members]


def _expected(info: tarfile.TarInfo, content: bytes) -> tuple[object, ...]:
    kind = _KINDS[info.type]
    link = info.linkname.encode()
    path = info.name.encode()
    return (path, kind, info.mode, info.uid, info.gid, len(content), int(info.mtime) * 10**9, link, content)


_KINDS = {
    tarfile.REGTYPE: modes.S_IFREG,
    tarfile.DIRTYPE: modes.S_IFDIR,
    tarfile.SYMTYPE: modes.S_IFLNK,
    tarfile.LNKTYPE: HARD_LINK,
    tarfile.CHRTYPE: modes.S_IFCHR,
    tarfile.BLKTYPE: modes.S_IFBLK,
    tarfile.FIFOTYPE: modes.S_IFIFO,
}


@given(
    members=trees(), noise=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=20)
)
@settings(max_examples=200, deadline=None)
def test_a_damaged_archive_is_read_or_corrupt_and_nothing_else(
    members: list[Member], noise: list[tuple[float, int]]
) -> None:
    tar = bytearray(archive(members))
    for place, byte in noise:
        at = int(place * (len(tar) - 1))
        tar[at] = byte
        header = at - at % 512  # half of the damage goes past the checksum
        if byte % 2:
            tar[header + 148 : header + 156] = b" " * 8
            tar[header + 148 : header + 156] = b"%06o\0 " % sum(tar[header : header + 512])
    with suppress(Corrupt):
        for _ in TarReader([bytes(tar)]):
            pass


@given(members=trees())
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_every_tree_becomes_a_sound_image_that_holds_it(members: list[Member]) -> None:
    with tempfile.TemporaryDirectory() as place:
        image = build(Path(place) / "r", members, size_bytes=16 << 20).image_path
        assert_clean(image)
        found = stat(image, *(info.name for info, _ in members))
        by_name = dict(zip((info.name for info, _ in members), found, strict=True))
        contents = _contents(image, Path(place) / "out")
        for info, content in members:
            here = by_name[info.name]
            if info.islnk():
                assert here.inode == by_name[info.linkname].inode
                continue
            assert (here.uid, here.gid, here.mtime_ns) == (info.uid, info.gid, int(info.mtime) * 10**9)
            assert here.mode == (0o777 if info.issym() else info.mode)
            if info.isreg():
                links = [other for other, _ in members if other.islnk() and other.linkname == info.name]
                assert (here.kind, here.size, here.links) == ("f", len(content), 1 + len(links))
                assert contents[info.name] == content
            elif info.issym():
                assert (here.target or read(image, info.name).decode()) == info.linkname
            elif info.ischr() or info.isblk():
                assert (here.kind, here.device) == (
                    "c" if info.ischr() else "b",
                    (info.devmajor, info.devminor),
                )
        top = {info.name for info, _ in members if "/" not in info.name}
        assert names(image) == top


def _contents(image: Path, out: Path) -> dict[str, bytes]:
    """Every regular file of the image, as debugfs dumps it."""
    out.mkdir()
    subprocess.run([DEBUGFS, "-R", f"rdump / {out}", image], capture_output=True, check=True)
    subprocess.run(["chmod", "-R", "u+rwX", out], check=True)
    files = [path for path in out.rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}
