"""Files and trees into containers, out of them, between them; GNU tar, umoci and the guest are the judges."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import firkin
from firkin.pytest.command import FIRKIN, Command
from firkin.pytest.home import Home
from firkin.pytest.registry import Registry
from firkin.settings import Settings

pytestmark = pytest.mark.machine

MTIME_NS = 1_600_000_000_123_456_789
HOLE = 1 << 20


@pytest.fixture
def box(stocked: Home, firkin: Command) -> Iterator[Command]:
    firkin("run", "-q", "-d", "--name", "box", "busybox", "sleep", "100000", check=True)
    yield firkin
    left = firkin("ps", "-aq", check=True).stdout.split()
    if left:
        firkin("rm", "-f", *left, check=True)


def make_tree(top: Path) -> None:
    (top / "sub").mkdir(parents=True)
    (top / "text").write_text("hello\n")
    (top / "text").chmod(0o4751)
    os.link(top / "text", top / "sub/again")
    (top / "link").symlink_to("sub/again")
    (top / ("n" * 200)).write_bytes(os.urandom(300_000))
    with open(top / "sparse", "wb") as sparse:
        for at in range(3):
            sparse.seek(at * 2 * HOLE)
            sparse.write(b"x" * 5000)
        sparse.truncate(8 * HOLE)
    os.mkfifo(top / "fifo")
    os.setxattr(top / "text", "user.note", b"kept")
    (top / "sub").chmod(0o555)
    for path in [*top.rglob("*"), top]:
        os.utime(path, ns=(MTIME_NS, MTIME_NS), follow_symlinks=False)


def told(top: Path) -> dict[str, tuple[object, ...]]:
    found = {}
    for path in [top, *sorted(top.rglob("*"))]:
        status = path.lstat()
        content: object = os.readlink(path) if path.is_symlink() else None
        if stat.S_ISREG(status.st_mode):
            content = path.read_bytes(), os.listxattr(path), status.st_nlink
        found[str(path.relative_to(top))] = (status.st_mode, status.st_mtime_ns, content)
    return found


def in_guest(firkin: Command, *words: str) -> str:
    return firkin("exec", "box", *words, check=True).stdout


def test_a_tree_goes_in_and_comes_back_whole_and_so_it_does_once_the_container_has_ended(
    box: Command, tmp_path: Path
) -> None:
    make_tree(tmp_path / "tree")
    said = box("cp", str(tmp_path / "tree"), "box:/srv", check=True)
    assert "Successfully copied" in said.stderr
    shown = in_guest(box, "stat", "-c", "%a %u:%g %h", "/srv/text", "/srv/sub/again")
    assert shown == "4751 0:0 2\n" * 2
    assert int(in_guest(box, "stat", "-c", "%b", "/srv/sparse")) * 512 < HOLE
    assert in_guest(box, "md5sum", "/srv/sparse").split()[0] == _md5(tmp_path / "tree/sparse")
    box("cp", "-q", "box:/srv", str(tmp_path / "back"), check=True)
    assert told(tmp_path / "back") == told(tmp_path / "tree")
    assert (tmp_path / "back/sparse").stat().st_blocks * 512 < HOLE

    box("stop", "-t", "0", "box", check=True)
    box("cp", "-q", "box:/srv/.", str(tmp_path / "ended"), check=True)
    assert told(tmp_path / "ended") == told(tmp_path / "tree")
    box("cp", "-q", str(tmp_path / "tree/text"), "box:/made-while-stopped", check=True)
    box("start", "box", check=True)
    assert in_guest(box, "cat", "/made-while-stopped") == "hello\n"


def _md5(path: Path) -> str:
    return subprocess.run(["md5sum", path], capture_output=True, text=True, check=True).stdout.split()[0]


def test_where_a_copy_goes_is_as_docker_has_it_in_both_directions(box: Command, tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "dir").mkdir(parents=True)
    (here / "dir/inner").write_text("inner\n")
    (here / "file").write_text("file\n")
    in_guest(box, "sh", "-c", "mkdir /d; ln -s /d /to-d; echo old > /d/old; ln -s old /d/to-old")
    cp = lambda *words: box("cp", "-q", *words, check=True)  # noqa: E731
    cp(f"{here}/file", "box:/d")
    cp(f"{here}/file", "box:/to-d/renamed")
    cp(f"{here}/file", "box:d/to-old")
    cp(f"{here}/dir", "box:/d/")
    cp(f"{here}/dir/.", "box:/d")
    cp(f"{here}/dir", "box:/d/named")
    listing = in_guest(box, "sh", "-c", "cd /d; find . | sort; cat file renamed old; readlink to-old")
    names = [
        ".",
        "./dir",
        "./dir/inner",
        "./file",
        "./inner",
        "./named",
        "./named/inner",
        "./old",
        "./renamed",
    ]
    assert listing.splitlines() == [*names, "./to-old", "file", "file", "file", "old"]

    out = tmp_path / "out"
    out.mkdir()
    cp("box:/d/named", str(out))
    cp("box:/d/named/inner", f"{out}/renamed")
    cp("box:/d/named/.", str(out / "fresh"))
    cp("box:/to-d", str(out))
    cp("-L", "box:/to-d", str(out / "followed"))
    assert sorted(str(each.relative_to(out)) for each in out.rglob("*") if "followed" not in str(each)) == [
        "fresh", "fresh/inner", "named", "named/inner", "renamed", "to-d",
    ]  # fmt: skip
    assert (out / "to-d").is_symlink()
    assert (out / "followed/named/inner").read_text() == "inner\n"
    assert (out / "followed/to-old").is_symlink()
    assert {each.lstat().st_uid for each in out.rglob("*")} == {os.getuid()}


def test_archives_stream_through_and_keep_their_owners(box: Command, tmp_path: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        info = tarfile.TarInfo("owned")
        info.uid, info.gid, info.size = 1234, 5678, 3
        archive.addfile(info, io.BytesIO(b"abc"))
    box("cp", "-", "box:/tmp", input=made.getvalue(), check=True)
    assert in_guest(box, "stat", "-c", "%u:%g %s", "/tmp/owned") == "1234:5678 3\n"
    out = subprocess.run(
        [*FIRKIN, "cp", "box:/tmp/owned", "-"],
        env=dict(box.environ),
        cwd=box.cwd,
        capture_output=True,
        check=True,
    ).stdout
    listed = subprocess.run(["tar", "-tv", "--numeric-owner"], input=out, capture_output=True, check=True)
    assert b"1234/5678" in listed.stdout
    box("run", "-q", "-d", "--name", "other", "busybox", "sleep", "100000", check=True)
    box("cp", "-q", "box:/tmp", "other:/srv", check=True)
    assert box("exec", "other", "stat", "-c", "%u:%g", "/srv/owned", check=True).stdout == "1234:5678\n"


def test_what_cannot_be_copied_is_told_with_its_path(box: Command, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").write_text("x")
    in_guest(box, "sh", "-c", "mkdir -p /in/dir; touch /in/file")
    link = tarfile.TarInfo("x")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode="w") as archive:
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("x/passwd"))
    cases: list[tuple[tuple[str, ...], bytes, str]] = [
        ((f"{tmp_path}/none", "box:/"), b"", f"no such file or directory: {tmp_path}/none"),
        ((f"{tmp_path}/file", "box:/none/x"), b"", "no such file or directory in container 'box': /none/"),
        ((f"{tmp_path}/file", "box:/none/"), b"", "no such directory: /none/"),
        ((f"{tmp_path}/dir", "box:/in/file"), b"", "/in/file is not a directory"),
        (("box:/none", str(tmp_path)), b"", "no such file or directory in container 'box': /none"),
        (("box:/in", f"{tmp_path}/file"), b"", "is not a directory: cannot copy a directory to it"),
        (("-", "box:/in/file"), b"", "is not a directory"),
        (("-", "box:/in"), b"no tar" * 200, "is this a tar archive?"),
        (("-", "box:/in"), evil.getvalue(), "archive entry 'x/passwd' leads out of the destination"),
        (("-", "box:/in"), evil.getvalue()[:700], "cut short"),
        ((f"{tmp_path}/file", "box:"), b"", "lacks a path"),
        ((f"{tmp_path}/file", "elsewhere"), b"", "neither SOURCE nor DEST is in a container"),
        ((f"{tmp_path}/file", "nobody:/x"), b"", "no such container"),
    ]
    for words, given, said in cases:
        ended = box("cp", *words, input=given)
        assert ended.status == 125, (words, ended)
        assert said in ended.stderr, (words, ended)
    assert in_guest(box, "sh", "-c", "cat /etc/passwd | wc -l") != "0\n"


def test_a_full_disk_and_an_end_meanwhile_are_errors_and_nothing_hangs(box: Command, tmp_path: Path) -> None:
    box(
        "run",
        "-q",
        "-d",
        "--name",
        "small",
        "--tmpfs",
        "/t:size=1m",
        "busybox",
        "sleep",
        "100000",
        check=True,
    )
    (tmp_path / "large").write_bytes(bytes(3 << 20))
    full = box("cp", str(tmp_path / "large"), "small:/t")
    assert full.status == 125
    assert "cannot write 'large' in container 'small': its disk is full" in full.stderr
    assert box("exec", "small", "ls", "/t", check=True).stdout == ""

    words = [*FIRKIN, "cp", "-q", "-", "box:/tmp"]
    streams = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "env": dict(box.environ), "cwd": box.cwd}
    with subprocess.Popen(words, **streams) as copying:  # type: ignore[call-overload]
        _begin(copying, box)
        box("kill", "box", check=True)
        _, said = copying.communicate(timeout=60)
    assert copying.returncode == 125
    assert b"box" in said

    with subprocess.Popen([*words[:-1], "small:/tmp"], **streams) as copying:  # type: ignore[call-overload]
        _begin(copying, box)
        copying.send_signal(signal.SIGINT)
        copying.wait(timeout=60)
        assert copying.returncode == 130
        copying.stdin.close()
    box("exec", "small", "sh", "-c", "while [ -e /tmp/never ]; do :; done", check=True)


def _begin(copying: subprocess.Popen[bytes], firkin: Command) -> None:
    """Give it the head of an archive, so far that the guest must have some of it."""
    info = tarfile.TarInfo("never")
    info.size = 1 << 30
    copying.stdin.write(info.tobuf() + bytes(4 << 20))  # type: ignore[union-attr]


def test_the_files_of_a_container_are_exported_without_what_is_mounted(box: Command, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/outside").touch()
    volume = f"{tmp_path}/volume:/volume"
    box(
        "run",
        "-q",
        "-d",
        "--name",
        "vol",
        "-v",
        volume,
        "--tmpfs",
        "/t",
        "busybox",
        "sleep",
        "100000",
        check=True,
    )
    box("exec", "vol", "sh", "-c", "echo changed > /new; touch /t/inside", check=True)
    exported = tmp_path / "v.tar"
    box("export", "-o", str(exported), "vol", check=True)
    names = subprocess.run(
        ["tar", "-tf", exported], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"new", "volume/", "t/", "bin/busybox"} <= set(names)
    assert not {"volume/outside", "t/inside", "proc/self", "dev/null"} & set(names)
    box("stop", "-t", "0", "vol", check=True)
    box("export", "-o", f"{exported}2", "vol", check=True)
    again = subprocess.run(
        ["tar", "-tf", f"{exported}2"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert sorted(again) == sorted(names)
    box("import", str(exported), "exported:1", check=True)
    assert box("run", "-q", "--rm", "exported:1", "cat", "/new", check=True).stdout == "changed\n"


CHANGES = """
set -e
rm /bin/cat; mkdir -p /new/deep; echo hello > /new/deep/file; chown 12:34 /new/deep/file
chmod 4750 /new/deep/file; ln /new/deep/file /new/second; ln -s deep/file /new/link; mkfifo /new/fifo
echo more >> /etc/added; rm -r /srv-like; echo now-a-file > /srv-like
"""


def test_a_committed_image_has_what_changed_runs_and_is_what_umoci_and_skopeo_take(
    box: Command, registry: Registry, tmp_path: Path
) -> None:
    in_guest(box, "sh", "-c", "mkdir -p /srv-like/inside")
    box("commit", "box", "base:1", check=True)
    options = ("--name", "changed", "-e", "K=V", "-w", "/etc", "-u", "0:5")
    box("run", "-q", *options, "base:1", "sh", "-c", CHANGES, check=True)
    words = ("-a", "Ann", "-m", "a remark", "-c", 'CMD ["cat", "/new/second"]', "-c", "ENV A=B")
    told = box("commit", *words, "changed", "mine:2", check=True).stdout.strip()
    (inspected,) = json.loads(box("inspect", "mine:2", check=True).stdout)
    assert inspected["Id"] == told
    assert inspected["Author"] == "Ann"

    box("rm", "-f", "box", "changed", check=True)
    ran = box(
        "run", "-q", "--rm", "mine:2", "busybox", "stat", "-c", "%a %u:%g %h", "/new/second", check=True
    )
    assert ran.stdout == "4750 12:34 2\n"
    script = "pwd; echo $K$A; id -g; ls /bin/cat /new; busybox cat /srv-like; readlink /new/link"
    shown = box("run", "-q", "--rm", "mine:2", "sh", "-c", script).stdout
    assert shown.split() == [
        "/etc",
        "VB",
        "5",
        "/new:",
        "deep",
        "fifo",
        "link",
        "second",
        "now-a-file",
        "deep/file",
    ]

    target = f"{registry.host}/mine:2"
    box("push", "mine:2", target, check=True)
    layout = f"oci:{tmp_path}/layout:mine"
    subprocess.run(
        ["skopeo", "copy", "--src-tls-verify=false", f"docker://{target}", layout],
        check=True,
        capture_output=True,
    )
    subprocess.run(
        ["umoci", "unpack", "--image", f"{tmp_path}/layout:mine", str(tmp_path / "bundle")],
        check=True,
        capture_output=True,
    )
    root = tmp_path / "bundle/rootfs"
    assert not (root / "bin/cat").exists()
    assert (root / "new/second").read_text() == "hello\n"
    assert (root / "new/second").stat().st_nlink == 2
    assert (root / "srv-like").read_text() == "now-a-file\n"
    assert stat.S_ISFIFO((root / "new/fifo").lstat().st_mode)


def test_what_cannot_be_in_an_image_and_bad_changes_keep_a_commit_from_being_made(box: Command) -> None:
    before = box("images", "-q", check=True).stdout
    in_guest(box, "touch", "/tmp/.wh.name")
    for words, said in (
        (("box", "bad:1"), "/tmp/.wh.name cannot be in an image"),
        (("-c", "CMD", "box", "bad:1"), "lacks a value"),
        (("box", "bad@sha256:" + "0" * 64), "its digest is not yet known"),
        (("nobody", "bad:1"), "no such container"),
    ):
        ended = box("commit", *words)
        assert ended.status == 125
        assert said in ended.stderr
    assert box("images", "-q", check=True).stdout == before


def test_python_copies_and_streams_the_same(box: Command, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    with firkin.Engine(settings) as engine:
        container = engine.container("box")
        container.copy_in(tmp_path / "file", "/tmp/copied")
        packed = io.BytesIO()
        container.pack("/tmp/copied", packed)
        packed.seek(0)
        container.unpack(packed, "/etc")
        container.copy_out("/etc/copied", tmp_path / "back")
        container.export(tmp_path / "all.tar")
        with pytest.raises(firkin.NotFound):
            container.copy_out("/none", tmp_path)
    assert (tmp_path / "back").read_text() == "content"
    with tarfile.open(tmp_path / "all.tar") as archive:
        assert archive.extractfile("etc/copied").read() == b"content"  # type: ignore[union-attr]
