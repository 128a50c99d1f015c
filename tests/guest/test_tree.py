"""Trees of files in and out of a container that has no tar: GNU tar and Python's tarfile are the judges."""

from __future__ import annotations

import errno
import io
import os
import socket
import stat
import subprocess
import tarfile
from pathlib import Path

import msgspec
import pytest

from tests.guest.driver import Refused

HOLE = 1 << 20
MTIME_NS = 1_600_000_000_123_456_789


class Failed(Exception):
    """What a result says where the work failed."""

    def __init__(self, why):
        super().__init__(why)
        self.errno, self.step, self.object = why["errno"], why["step"], why["object"]


class Trees:
    """The three ops in a container that runs, each as a process with streams of its own."""

    def __init__(self, host, container):
        self.host, self.container, self.proc = host, container, 100

    def post(self, op, **fields):
        self.proc += 1
        streams = {"result": self.proc * 10 + 1} | ({} if op == "stat" else {"stream": self.proc * 10})
        self.host.ask(op, proc=self.proc, container=self.container, **streams, **fields)
        return self.proc

    def result(self, proc):
        said = self.host.read_to_end(proc * 10 + 1)
        code = self.host.wait(proc)
        self.host.ask("forget", proc=proc)
        result = msgspec.msgpack.decode(said)
        assert (code == 0) == ("ok" in result)
        if "err" in result:
            raise Failed(result["err"])
        return result["ok"]

    def unpack(self, archive, path="/", **fields):
        proc = self.post("unpack", path=path, **fields)
        self.host.write(proc * 10, archive)
        if proc * 10 not in self.host.broken:
            self.host.end(proc * 10)
        return self.result(proc)

    def pack(self, *paths, names=None, **fields):
        if names is None:
            names = [os.path.basename(path) for path in paths]
        proc = self.post("pack", paths=paths, names=names, **fields)
        try:
            self.host.until(lambda: proc * 10 in self.host.ends, "the archive's end")
        finally:
            result = self.result(proc)
        return bytes(self.host.output[proc * 10]), result

    def stat(self, path, **fields):
        return self.result(self.post("stat", path=path, **fields))


@pytest.fixture
def trees(host, box):
    return Trees(host, box.running(host))


def make_source(top: Path) -> None:
    """One of everything that a tree can hold."""
    top.mkdir()
    (top / "empty").mkdir(mode=0o711)
    (top / "text").write_text("hello\n")
    (top / "text").chmod(0o4751)
    os.chown(top / "text", 70_000, 3_000_000_000)
    os.link(top / "text", top / "second-name")
    (top / "link").symlink_to("/nowhere/in/particular")
    (top / ("l" * 255)).symlink_to("m" * 1500)
    deep = top
    for _ in range(9):
        deep /= "d" * 200
        deep.mkdir()
    (deep / "bottom").write_bytes(os.urandom(300_000))
    (top / "umlaut-\u00e4\n\udcff").write_text("any bytes")
    os.mkfifo(top / "fifo", 0o640)
    os.mknod(top / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with open(top / "sparse", "wb") as sparse:
        for at in range(3):
            sparse.seek(at * 4 * HOLE)
            sparse.write(b"x" * 5000)
        sparse.truncate(16 * HOLE)
    (top / "hollow").touch()
    os.truncate(top / "hollow", HOLE)
    os.setxattr(top / "text", "user.note", b"a\0b=\n")
    os.setxattr(
        top / "text", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000")
    )
    os.setxattr(top / "empty", "user.directory", b"yes")
    for path in sorted(top.rglob("*"), key=lambda each: -len(each.parts)):
        os.utime(path, ns=(MTIME_NS, MTIME_NS - len(path.name)), follow_symlinks=False)
    os.utime(top, ns=(0, -1_500_000_000))


def told(top: Path) -> dict[str, tuple[object, ...]]:
    """Everything that a copy is to keep, by name."""
    found = {}
    inodes: dict[int, str] = {}
    for path in [top, *sorted(top.rglob("*"))]:
        status = path.lstat()
        name = str(path.relative_to(top))
        content: object = None
        if path.is_symlink():
            content = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        elif stat.S_ISCHR(status.st_mode):
            content = status.st_rdev
        first = inodes.setdefault(status.st_ino, name)
        xattrs = {
            each: os.getxattr(path, each, follow_symlinks=False)
            for each in os.listxattr(path, follow_symlinks=False)
        }
        found[name] = (
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_mtime_ns,
            first,
            xattrs,
            content,
        )
    return found


def gnu_tar(*arguments: str) -> bytes:
    return subprocess.run(["tar", *arguments], check=True, capture_output=True).stdout


@pytest.mark.parametrize(
    "form",
    [
        ["--format=pax"],
        ["--format=pax", "--sparse-version=0.1"],
        ["--format=pax", "--sparse-version=0.0"],
        ["--format=gnu"],
    ],
)
def test_what_gnu_tar_packed_is_unpacked_with_everything_that_the_format_holds(trees, box, tmp_path, form):
    make_source(tmp_path / "source")
    pax = form[0] == "--format=pax"
    kept = ["--xattrs", "--xattrs-include=*", "--pax-option=delete=atime,delete=ctime"] if pax else []
    archive = gnu_tar("-c", "--sparse", *form, *kept, "-C", str(tmp_path), "source")
    counts = trees.unpack(archive, "/tmp")
    expected, found = told(tmp_path / "source"), told(box.root / "tmp/source")
    assert expected.keys() == found.keys()
    assert counts["entries"] == len(found)
    assert counts["left_out"] == 0
    for name, there in expected.items():
        here = found[name]
        if not pax:  # GNU's own format has seconds, and no attributes
            there, here = (
                (*each[:3], each[3] // 1_000_000_000, each[4], {}, each[6]) for each in (there, here)
            )
        assert here == there, name
    assert (box.root / "tmp/source/sparse").stat().st_blocks * 512 < HOLE
    assert (box.root / "tmp/source/hollow").stat().st_blocks == 0


def test_what_is_packed_is_unpacked_by_gnu_tar_and_read_by_python(trees, box, tmp_path):
    make_source(box.root / "source")
    archive, counts = trees.pack("/source")
    (tmp_path / "out").mkdir()
    packed = tmp_path / "packed.tar"
    packed.write_bytes(archive)
    gnu_tar(
        "-x",
        "-p",
        "--numeric-owner",
        "--xattrs",
        "--xattrs-include=*",
        "-f",
        str(packed),
        "-C",
        str(tmp_path / "out"),
    )
    expected, found = told(box.root / "source"), told(tmp_path / "out/source")
    assert found == expected
    assert (tmp_path / "out/source/sparse").stat().st_blocks * 512 < HOLE
    assert len(archive) < 2 * HOLE
    with tarfile.open(packed) as python:
        members = {each.name: each for each in python.getmembers()}
        assert len(members) == counts["entries"] == len(expected)
        linked = [each for each in members.values() if each.islnk()]
        assert len(linked) == 1
        assert (
            python.extractfile(members["source/text"] if members["source/text"].isreg() else linked[0]).read()
            == b"hello\n"
        )
        sparse = python.extractfile("source/sparse").read()
    assert sparse == (box.root / "source/sparse").read_bytes()


def test_what_is_packed_is_unpacked_the_same(trees, box):
    make_source(box.root / "source")
    archive, _ = trees.pack("/source", names=["again"])
    trees.unpack(archive, "/made/for/it", create=True)
    assert told(box.root / "made/for/it/again") == told(box.root / "source")


def archive_of(*members, mode="w", **options):
    """A tar of TarInfos, or (TarInfo, bytes)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, **options) as archive:
        for member in members:
            info, data = member if isinstance(member, tuple) else (member, b"")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def names_in(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        return packed.getnames()


def info(name, kind=tarfile.REGTYPE, link="", mode=0o644):
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, link, mode
    return made


def directory(name):
    return info(name, tarfile.DIRTYPE, mode=0o755)


def files_of(**contents):
    return archive_of(*((info(name), data.encode()) for name, data in contents.items()))


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([(info("../out"), b"x")], "../out"),
        ([(info("a/../../out"), b"x")], "a/../../out"),
        ([info("x", tarfile.SYMTYPE, "/etc"), (info("x/passwd"), b"x")], "x/passwd"),
        ([info("x", tarfile.SYMTYPE, "../etc"), (info("x/passwd"), b"x")], "x/passwd"),
        ([info("x", tarfile.LNKTYPE, "../etc/passwd")], "x to ../etc/passwd"),
        ([info("e", tarfile.SYMTYPE, "/etc"), info("x", tarfile.LNKTYPE, "e/passwd")], "x to e/passwd"),
    ],
)
def test_no_name_and_no_link_of_an_archive_leads_out_of_the_destination(trees, box, members, why):
    before = (box.root / "etc/passwd").read_text()
    (box.root / "tmp/in").mkdir()
    with pytest.raises(Failed) as failed:
        trees.unpack(archive_of(*members), "/tmp/in")
    assert failed.value.errno == errno.EXDEV
    assert failed.value.object == why
    assert (box.root / "etc/passwd").read_text() == before
    assert not (box.root / "tmp/out").exists()
    assert not (box.root / "out").exists()


def test_links_of_the_container_are_followed_inside_its_root(trees, box):
    (box.root / "var").mkdir()
    (box.root / "run").symlink_to("/var")
    trees.unpack(archive_of((info("run/made"), b"x"), (info("/absolute"), b"y")), "/")
    assert (box.root / "var/made").read_text() == "x"
    assert (box.root / "absolute").read_text() == "y"


def test_the_destination_itself_is_resolved_inside_the_root(trees, box):
    (box.root / "out").symlink_to("../../../../../tmp")
    trees.unpack(files_of(made="x"), "/out")
    assert (box.root / "tmp/made").read_text() == "x"


def test_a_directory_is_not_replaced_by_a_file_nor_a_file_by_a_directory_unless_asked(trees, box):
    (box.root / "tmp/directory").mkdir()
    (box.root / "tmp/directory/kept").touch()
    (box.root / "tmp/file").write_text("kept")
    with pytest.raises(Failed) as failed:
        trees.unpack(files_of(directory="x"), "/tmp")
    assert (failed.value.errno, failed.value.object) == (errno.EISDIR, "directory")
    with pytest.raises(Failed) as failed:
        trees.unpack(archive_of(directory("file")), "/tmp")
    assert (failed.value.errno, failed.value.object) == (errno.ENOTDIR, "file")
    assert (box.root / "tmp/directory/kept").exists()
    assert (box.root / "tmp/file").read_text() == "kept"
    trees.unpack(archive_of((info("directory"), b"x"), directory("file")), "/tmp", replace=True)
    assert (box.root / "tmp/directory").read_text() == "x"
    assert (box.root / "tmp/file").is_dir()


def test_files_and_links_are_replaced_not_written_through(trees, box):
    (box.root / "tmp/file").symlink_to("/etc/passwd")
    (box.root / "tmp/other").write_text("old")
    os.link(box.root / "tmp/other", box.root / "tmp/name")
    before = (box.root / "etc/passwd").read_text()
    trees.unpack(files_of(file="new", other="new"), "/tmp")
    assert (box.root / "tmp/file").read_text() == "new"
    assert not (box.root / "tmp/file").is_symlink()
    assert (box.root / "tmp/name").read_text() == "old"
    assert (box.root / "etc/passwd").read_text() == before


def test_an_owner_that_is_asked_for_gets_everything(trees, box, tmp_path):
    make_source(tmp_path / "source")
    archive = gnu_tar("-c", "-C", str(tmp_path), "source")
    trees.unpack(archive, "/tmp", owner={"uid": 1234, "gid": 5678})
    everything = [box.root / "tmp/source", *(box.root / "tmp/source").rglob("*")]
    assert {(each.lstat().st_uid, each.lstat().st_gid) for each in everything} == {(1234, 5678)}


def test_whiteouts_hide_lower_layers_and_spare_their_own(trees, box):
    lower = archive_of(
        *(directory(name) for name in ("a", "a/old", "b", "c")),
        *((info(name), b"lower") for name in ("a/one", "a/old/deep", "b/gone", "b/kept", "c/both")),
        info("a/name", tarfile.LNKTYPE, "b/kept"),
    )
    trees.unpack(lower, "/layers", create=True, whiteouts=True)
    upper = archive_of(
        directory("./"),
        (info("a/mine"), b"upper"),
        (info("a/old/mine"), b"upper"),
        (info("a/.wh..wh..opq"), b""),
        (info("b/.wh.gone"), b""),
        (info("b/.wh.never-was"), b""),
        (info("b/.wh..wh.plnk"), b""),
        (info("c/both"), b"upper"),
        (info("c/.wh.both"), b""),
        (info("../clamped"), b"upper"),
    )
    trees.unpack(upper, "/layers", whiteouts=True)
    top = box.root / "layers"
    files = {str(each.relative_to(top)): each.read_text() for each in top.rglob("*") if each.is_file()}
    assert files == {
        "a/mine": "upper",
        "a/old/mine": "upper",
        "b/kept": "lower",
        "c/both": "upper",
        "clamped": "upper",
    }


def test_an_archive_that_is_cut_short_or_no_archive_is_told_with_the_entry(trees, box):
    whole = archive_of((info("small"), b"x"), (info("large"), os.urandom(100_000)))
    for cut in (513, 1024 + 200, 5000):
        with pytest.raises(Failed) as failed:
            trees.unpack(whole[:cut], "/tmp")
        assert failed.value.errno == errno.EBADMSG
        assert "cut short" in failed.value.object
    assert not (box.root / "tmp/large").exists()
    with pytest.raises(Failed) as failed:
        trees.unpack(b"no tar at all" * 100, "/tmp")
    assert "is this a tar archive?" in failed.value.object


def test_a_full_disk_is_told_with_the_path_and_keeps_no_half_file(host, box):
    box.running(
        host, mounts=[{"type": "tmpfs", "source": "", "target": "/small", "options": ["size=1048576"]}]
    )
    trees = Trees(host, "c1")
    with pytest.raises(Failed) as failed:
        trees.unpack(archive_of((info("fits"), b"x"), (info("huge"), bytes(4 << 20))), "/small")
    assert (failed.value.errno, failed.value.step, failed.value.object) == (errno.ENOSPC, "write", "huge")
    assert trees.host.run(9, "ls", "/small", container="c1")[1] == b"fits\n"


def test_what_is_missing_is_told_with_its_path(trees):
    for work in (
        lambda: trees.stat("/missing"),
        lambda: trees.pack("/missing"),
        lambda: trees.unpack(b"", "/missing"),
    ):
        with pytest.raises(Failed) as failed:
            work()
        assert (failed.value.errno, failed.value.object) == (errno.ENOENT, "/missing")


def test_stat_tells_what_lies_there_and_where_a_link_leads(trees, box):
    (box.root / "tmp/file").write_text("four")
    (box.root / "tmp/link").symlink_to("file")
    os.utime(box.root / "tmp/file", ns=(1, -7))
    found = trees.stat("/tmp/link")
    assert (stat.S_ISLNK(found["mode"]), found["link"]) == (True, b"file")
    found = trees.stat("/tmp/link", follow=True)
    assert (stat.S_ISREG(found["mode"]), found["size"], found["mtime_ns"], found["link"]) == (
        True,
        4,
        -7,
        b"",
    )


def test_links_at_the_top_are_followed_when_asked_or_by_a_slash(trees, box):
    (box.root / "tmp/real").mkdir()
    (box.root / "tmp/real/file").touch()
    (box.root / "tmp/link").symlink_to("/tmp/real")
    assert names_in(trees.pack("/tmp/link")[0]) == ["link"]
    assert names_in(trees.pack("/tmp/link", follow=True)[0]) == ["link", "link/file"]
    assert names_in(trees.pack("/tmp/link/", names=["link"])[0]) == ["link", "link/file"]
    assert names_in(trees.pack("/tmp/link/.", names=[""])[0]) == ["file"]
    assert names_in(trees.pack("/tmp/real/file", "/etc/group", names=["a", "b/c"])[0]) == ["a", "b/c"]


def test_without_mounts_the_root_is_packed_as_its_disk_has_it(host, box):
    tmpfs = {"type": "tmpfs", "source": "", "target": "/volume", "options": []}
    files = [{"path": "/etc/hosts", "mode": 0o644, "data": b"ours"}]
    box.running(host, mounts=[tmpfs], files=files)
    trees = Trees(host, "c1")
    host.run(9, "touch", "/volume/inside", container="c1")
    with tarfile.open(fileobj=io.BytesIO(trees.pack("/", names=[""], mounts=False)[0])) as bare:
        assert "volume" in bare.getnames()
        assert "volume/inside" not in bare.getnames()
        assert not [name for name in bare.getnames() if name.startswith(("proc/", "sys/", "dev/"))]
        assert bare.extractfile("etc/hosts").read() == b""
    with tarfile.open(fileobj=io.BytesIO(trees.pack("/", names=[""])[0])) as mounted:
        assert "volume/inside" in mounted.getnames()
        assert not [name for name in mounted.getnames() if name.startswith(("proc/", "sys/", "dev/"))]
        assert mounted.extractfile("etc/hosts").read() == b"ours"


def test_a_socket_is_left_out_and_counted(trees, box):
    with socket.socket(socket.AF_UNIX) as listening:
        directory = os.open(box.root / "tmp", os.O_PATH)
        listening.bind(f"/proc/self/fd/{directory}/socket")
        os.close(directory)
    archive, counts = trees.pack("/tmp")
    assert counts["left_out"] == 1
    assert names_in(archive) == ["tmp"]


def test_a_container_that_ends_ends_what_works_on_its_files(trees, box):
    proc = trees.post("unpack", path="/tmp")
    trees.host.ask("signal", proc=1, signal=9)
    assert trees.host.wait(proc) == 137
    assert trees.host.read_to_end(proc * 10 + 1) == b""
    with pytest.raises(Refused) as refused:
        trees.post("unpack", path="/tmp")
    assert refused.value.errno == errno.ESRCH
    trees.host.ask("remove", container="c1")


def test_a_removed_container_is_held_by_nobody(trees, box):
    proc = trees.post("unpack", path="/tmp")
    trees.host.ask("remove", container="c1")
    assert trees.host.wait(proc) == 137


def test_work_can_be_killed_and_a_reader_that_has_gone_ends_it(trees, box):
    proc = trees.post("unpack", path="/tmp")
    trees.host.ask("signal", proc=proc, signal=9)
    assert trees.host.wait(proc) == 137
    (box.root / "large").write_bytes(bytes(8 << 20))
    trees.host.acknowledge = False
    proc = trees.post("pack", paths=["/large"], names=["large"])
    trees.host.until(lambda: trees.host.output[proc * 10], "the first bytes")
    trees.host.cut(proc * 10)
    assert trees.host.wait(proc) == 1


def test_the_machine_itself_is_the_container_without_a_name(host, tmp_path):
    trees = Trees(host, "")
    trees.unpack(files_of(made="x"), str(tmp_path / "new"), create=True)
    assert (tmp_path / "new/made").read_text() == "x"
    assert names_in(trees.pack(str(tmp_path / "new"))[0]) == ["new", "new/made"]


def test_streams_and_names_that_make_no_sense_are_refused(trees):
    asked = {"proc": 50, "container": "c1", "paths": ["/"], "names": []}
    for wrong in (
        {"stream": 1, "result": 2},
        {"stream": 1, "result": 1, "names": ["x"]},
        {"stream": 0, "result": 2, "names": ["x"]},
    ):
        with pytest.raises(Refused) as refused:
            trees.host.ask("pack", **{**asked, **wrong})
        assert refused.value.errno == errno.EINVAL
