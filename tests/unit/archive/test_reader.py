"""Tar archives in: every kind of entry, from every kind of writer, and nothing from a liar."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from firkin.archive import HARD_LINK, Entry, TarReader
from firkin.errors import Corrupt
from tests.support.layers import archive, directory, hard_link, member, symlink

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def read(tar: bytes, chunk_bytes: int = 700) -> list[tuple[Entry, bytes]]:
    """Entries and their content, from chunks that respect no block."""
    reader = TarReader(tar[at : at + chunk_bytes] for at in range(0, len(tar), chunk_bytes))
    return [(entry, b"".join(reader.content())) for entry in reader]


def only(tar: bytes) -> Entry:
    ((entry, _),) = read(tar)
    return entry


def patched(tar: bytes, offset: int, replacement: bytes) -> bytes:
    """`tar` with bytes of its first header replaced, and the checksum set right."""
    block = bytearray(tar[:512])
    block[offset : offset + len(replacement)] = replacement
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + tar[512:]


@pytest.mark.parametrize("form", FORMATS)
def test_each_kind_of_entry_is_read_as_it_was_written(form: int) -> None:
    entries = read(
        archive(
            [
                directory("etc", uid=1, gid=2),
                member("etc/motd", b"hello\n" * 200, mode=0o4755),
                symlink("etc/link", "../x"),
                hard_link("etc/hard", "etc/motd"),
                member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
                member("sda", type=tarfile.BLKTYPE, devmajor=8, devminor=0),
                member("pipe", type=tarfile.FIFOTYPE),
                member("last", b"x"),
            ],
            form,
        )
    )
    assert [(e.path.rstrip(b"/"), e.kind, e.mode) for e, _ in entries] == [
        (b"etc", stat.S_IFDIR, 0o755),
        (b"etc/motd", stat.S_IFREG, 0o4755),
        (b"etc/link", stat.S_IFLNK, 0o644),
        (b"etc/hard", HARD_LINK, 0o644),
        (b"null", stat.S_IFCHR, 0o644),
        (b"sda", stat.S_IFBLK, 0o644),
        (b"pipe", stat.S_IFIFO, 0o644),
        (b"last", stat.S_IFREG, 0o644),
    ]
    by_path = {e.path: e for e, _ in entries}
    assert (by_path[b"null"].major, by_path[b"null"].minor) == (1, 3)
    assert by_path[b"etc/link"].link == b"../x"
    assert entries[1][1] == b"hello\n" * 200
    assert entries[-1][1] == b"x"


@pytest.mark.parametrize("form", FORMATS)
def test_long_names_and_targets_arrive_whole(form: int) -> None:
    long = "/".join(["directory"] * 20) + "/" + "n" * 50
    assert only(archive([member(long)], form)).path == long.encode()
    if form != tarfile.USTAR_FORMAT:
        assert only(archive([symlink(long * 2, long * 3)], form)).link == (long * 3).encode()


def test_a_file_of_more_than_eight_gibibytes_is_skipped_to_the_entry_behind_it() -> None:
    size = 9 << 30
    head, tail = archive([member("big", size=0)])[:512], archive([member("after")])
    head = patched(head, 124, b"\x80" + size.to_bytes(11, "big"))
    zeros = bytes(1 << 20)

    def chunks() -> Iterator[bytes]:
        yield head
        yield from (zeros for _ in range(size >> 20))
        yield tail

    assert [(e.path, e.size) for e in TarReader(chunks())] == [(b"big", size), (b"after", 0)]


def test_large_owners_are_read_in_base_256_and_from_pax() -> None:
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        entry = only(archive([member("x", uid=3_000_000, gid=4_000_000_000)], form))
        assert (entry.uid, entry.gid) == (3_000_000, 4_000_000_000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1234567890.123456789", 1_234_567_890_123_456_789),
        ("1234567890.1234567899", 1_234_567_890_123_456_789),
        ("0.5", 500_000_000),
        ("-1.5", -1_500_000_000),
        ("1700000000", 1_700_000_000_000_000_000),
    ],
)
def test_times_keep_their_nanoseconds(text: str, expected: int) -> None:
    entry = only(archive([member("x", pax_headers={"mtime": text, "atime": text, "ctime": text})]))
    assert (entry.mtime_ns, entry.atime_ns, entry.ctime_ns) == (expected, expected, expected)


def test_a_time_before_1970_in_base_256_is_negative() -> None:
    field = (-5).to_bytes(12, "big", signed=True)
    assert only(patched(archive([member("x")], tarfile.GNU_FORMAT), 136, field)).mtime_ns == -5_000_000_000


def test_extended_attributes_come_from_star_and_from_bsdtar() -> None:
    value = b"\1\0\0\2\0\xff\n="
    records = {
        "SCHILY.xattr.user.text": "a=b",
        "LIBARCHIVE.xattr.security.capability": base64.b64encode(value).decode().rstrip("="),
        "LIBARCHIVE.xattr.user.a%20b": base64.b64encode(b"").decode(),
    }
    assert only(archive([member("x", pax_headers=records)])).xattrs == {
        b"user.text": b"a=b",
        b"security.capability": value,
        b"user.a b": b"",
    }


def test_a_global_header_counts_for_all_entries_and_an_entrys_own_for_one() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"uid": "7"}) as tar:
        tar.addfile(member("a")[0])
        tar.addfile(member("b", pax_headers={"uid": "8"})[0])
        tar.addfile(member("c")[0])
    assert [e.uid for e, _ in read(buffer.getvalue())] == [7, 8, 7]


def test_an_old_archive_says_directory_with_a_slash() -> None:
    assert only(archive([member("dir/", type=tarfile.AREGTYPE)], tarfile.USTAR_FORMAT)).kind == stat.S_IFDIR


@pytest.mark.parametrize("form", ["gnu", "pax:0.0", "pax:0.1", "pax:1.0"])
@pytest.mark.parametrize("regions", [3, 50])
def test_sparse_files_of_gnu_tar_read_back_as_they_were(tmp_path: Path, form: str, regions: int) -> None:
    original = tmp_path / "sparse"
    with original.open("wb") as file:
        for region in range(regions):
            file.seek(region * (100 << 10))
            file.write(bytes([region + 1]) * 5000)
        file.truncate(6 << 20)
    kind, _, version = form.partition(":")
    flags = [f"--format={kind}", *([f"--sparse-version={version}"] if version else [])]
    tar = subprocess.run(
        ["tar", "-C", tmp_path, "-cSf", "-", *flags, "sparse"], capture_output=True, check=True
    ).stdout
    assert len(tar) < original.stat().st_size
    ((entry, held),) = read(tar)
    assert (entry.path, entry.size) == (b"sparse", 6 << 20)
    assert entry.sparse is not None
    whole, at = bytearray(entry.size), 0
    for offset, length in entry.sparse:
        whole[offset : offset + length] = held[at : at + length]
        at += length
    assert bytes(whole) == original.read_bytes()


def test_content_that_nobody_takes_is_skipped() -> None:
    reader = TarReader([archive([member("a", b"x" * 5000), member("b", b"y")])])
    assert [entry.path for entry in reader] == [b"a", b"b"]


def test_the_stream_is_read_to_its_end_so_that_its_digest_is_whole() -> None:
    seen = 0

    def chunks() -> Iterator[bytes]:
        nonlocal seen
        for chunk in [archive([member("a")]), b"behind the end", b"more"]:
            seen += 1
            yield chunk

    list(TarReader(chunks()))
    assert seen == 3


# --- bad input --------------------------------------------------------------------------------------------


def test_an_archive_cut_anywhere_is_corrupt_or_ends_between_entries() -> None:
    whole = archive([member("a", b"x" * 700), member("b" * 150, b"y"), directory("c")], tarfile.GNU_FORMAT)
    ends = set()
    for cut in range(0, 9 * 512, 64):
        with contextlib.suppress(Corrupt):
            ends.add(len(read(whole[:cut])))
    assert ends == {0, 1, 2, 3}


def test_a_long_name_without_its_entry_is_corrupt() -> None:
    with pytest.raises(Corrupt, match="ends"):
        read(archive([member("b" * 150)], tarfile.GNU_FORMAT)[:1024])


@pytest.mark.parametrize("form", FORMATS)
def test_a_flipped_bit_in_a_header_is_noticed(form: int) -> None:
    tar = bytearray(archive([member("name", b"content")], form))
    tar[3] ^= 0x10
    with pytest.raises(Corrupt, match="checksum"):
        read(bytes(tar))


def liars() -> Iterable[tuple[str, bytes]]:
    plain = archive([member("x")], tarfile.GNU_FORMAT)
    yield "octal", patched(plain, 124, b"0000000009\0\0")
    yield "octal", patched(plain, 108, b"1_0\0\0\0\0\0")
    yield "negative size", patched(plain, 124, (-512).to_bytes(12, "big", signed=True))
    yield "unknown type", patched(plain, 156, b"M")
    yield "64-bit", patched(plain, 124, b"\x80" + b"\xff" * 11)
    yield "owner", patched(plain, 108, (-1).to_bytes(8, "big", signed=True))
    yield "impossible name", patched(plain, 0, b"\0" * 100)
    yield "impossible name", archive([member("x" * 5000)])
    yield "impossible name", archive([member("x", pax_headers={"path": "a\0b"})])
    yield "impossible link", archive([symlink("x", "y" * 5000)])
    yield "extended header", archive([member("x", pax_headers={"comment": "y" * (2 << 20)})])
    yield "pax time", archive([member("x", pax_headers={"mtime": "soon"})])
    yield "pax number", archive([member("x", pax_headers={"size": "1" * 30})])
    yield "impossible size", archive([member("x", pax_headers={"size": "-1"})])
    yield "base64", archive([member("x", pax_headers={"LIBARCHIVE.xattr.user.x": "a"})])
    yield (
        "sparse",
        archive(
            [member("x", b"y" * 512, pax_headers={"GNU.sparse.map": "0,5,3,5", "GNU.sparse.size": "99"})]
        ),
    )
    yield (
        "sparse",
        archive([member("x", b"9" * 1024, pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})]),
    )
    record = archive([member("x", pax_headers={"comment": "abc"})])
    yield "malformed pax", record.replace(b"comment=", b"comment+")
    yield "zero block", bytes(512) + plain


@pytest.mark.parametrize(("complaint", "tar"), list(liars()))
def test_a_lying_archive_is_corrupt(complaint: str, tar: bytes) -> None:
    with pytest.raises(Corrupt, match=complaint):
        read(tar)


def test_noise_is_no_archive() -> None:
    with pytest.raises(Corrupt):
        read(os.urandom(4096))
