"""What a container packed becomes a tree of this host, and nothing outside of it."""

from __future__ import annotations

import io
import os
import stat
import tarfile

import pytest

from firkin.archive.extraction import extract
from firkin.archive.packing import pack
from firkin.archive.writer import END_OF_ARCHIVE
from firkin.errors import Corrupt, NotFound, UsageError


def archive_of(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            archive.addfile(info)
    return [out.getvalue()]


REG, DIR, SYM, LNK = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ([("../out", REG, "")], Corrupt),
        ([("x", SYM, "/tmp"), ("x/out", REG, "")], UsageError),
        ([("x", SYM, ".."), ("x/out", REG, "")], UsageError),
        ([("x", LNK, "../secret")], Corrupt),
        ([("s", SYM, ".."), ("x", LNK, "s/secret")], UsageError),
        ([("d/f", REG, ""), ("d", REG, "")], UsageError),
        ([("f", REG, ""), ("f", DIR, "")], UsageError),
    ],
)
def test_what_leads_out_or_takes_the_wrong_place_is_refused(tmp_path, members, kind):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "in").mkdir()
    with pytest.raises(kind):
        extract(archive_of(*members), str(tmp_path / "in"))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["in", "secret"]
    assert (tmp_path / "secret").stat().st_nlink == 1


def test_half_a_file_is_not_left(tmp_path):
    info = tarfile.TarInfo("half")
    info.size = 5000
    with pytest.raises(Corrupt):
        extract([info.tobuf() + b"x" * 100], str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_tree_survives_being_packed_and_extracted(tmp_path):
    source = tmp_path / "source"
    (source / "read-only").mkdir(parents=True)
    (source / "read-only/file").write_bytes(b"x" * 700_000)
    os.link(source / "read-only/file", source / "second")
    (source / ("l" * 150)).symlink_to("t" * 150)
    with open(source / "sparse", "wb") as sparse:
        sparse.seek(1 << 20)
        sparse.write(b"end")
        sparse.truncate(3 << 20)
    (source / "read-only").chmod(0o555)
    os.utime(source / "second", ns=(5, -1_500_000_000))
    (tmp_path / "out").mkdir()
    extract([*pack(str(source), b"copy"), END_OF_ARCHIVE], str(tmp_path / "out"))
    copy = tmp_path / "out/copy"
    assert (copy / "second").stat().st_mtime_ns == -1_500_000_000
    assert (copy / "second").stat().st_ino == (copy / "read-only/file").stat().st_ino
    assert stat.S_IMODE((copy / "read-only").stat().st_mode) == 0o555
    assert os.readlink(copy / ("l" * 150)) == "t" * 150
    assert (copy / "sparse").read_bytes() == (source / "sparse").read_bytes()
    assert (copy / "sparse").stat().st_blocks * 512 < 1 << 20


def test_python_and_a_second_reader_agree_on_what_was_packed(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t/f").write_text("content")
    packed = b"".join([*pack(str(tmp_path / "t"), b""), END_OF_ARCHIVE])
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getnames() == ["f"]
        assert archive.extractfile("f").read() == b"content"


def test_what_is_missing_is_told_with_its_path(tmp_path):
    with pytest.raises(NotFound, match="none"):
        list(pack(str(tmp_path / "none"), b"x"))
