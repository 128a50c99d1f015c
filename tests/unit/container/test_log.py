"""The log: every byte where it was, whatever a crash or a hostile process leaves in it."""

from __future__ import annotations

import asyncio
import os

import pytest

from firkin.container import logs
from firkin.container.log import LogReader, LogWriter
from firkin.errors import Corrupt, StorageFull


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log"


def write(path, *pieces):
    writer = LogWriter(path)
    for number, (stream, data) in enumerate(pieces):
        writer.append(stream, data, number)
    writer.close()


def text(records):
    return [(record.stream, record.data) for record in records]


def test_what_is_appended_is_read_with_its_times_and_offsets(path):
    write(path, ("stdout", b"one\n"), ("stderr", b"two\n"), ("stdout", b"three\n"))
    records = list(logs.read(path))
    assert text(records) == [("stdout", b"one\n"), ("stderr", b"two\n"), ("stdout", b"three\n")]
    assert [record.offset for record in records] == [0, 0, 4]
    assert [record.time_ns for record in records] == [0, 1, 2]


def test_a_log_that_is_not_there_is_empty(path):
    assert list(logs.read(path)) == list(logs.read(path, tail=3)) == []


def test_the_next_writer_goes_on_where_the_last_one_stopped(path):
    write(path, ("stdout", b"abc"), ("stderr", b"x"))
    writer = LogWriter(path)
    assert (writer.offset("stdout"), writer.offset("stderr")) == (3, 1)
    writer.append("stdout", b"def", 9)
    writer.close()
    assert b"".join(record.data for record in logs.read(path) if record.stream == "stdout") == b"abcdef"


def test_a_record_torn_at_any_byte_is_cut_and_nothing_else_is_lost(path):
    write(path, ("stdout", b"kept"), ("stderr", b"also kept"))
    whole = path.read_bytes()
    write(path, ("stdout", b"torn"))
    torn = path.read_bytes()
    for size in range(len(whole), len(torn)):
        path.write_bytes(torn[:size])
        assert text(logs.read(path)) == [("stdout", b"kept"), ("stderr", b"also kept")]
        writer = LogWriter(path)
        assert (writer.offset("stdout"), writer.offset("stderr")) == (4, 9)
        writer.close()
        assert path.read_bytes() == whole


def test_a_header_torn_at_any_byte_is_made_anew(path):
    write(path)
    header = path.read_bytes()
    for size in range(len(header)):
        path.write_bytes(header[:size])
        write(path, ("stdout", b"x"))
        assert text(logs.read(path)) == [("stdout", b"x")]


def test_output_that_looks_like_a_record_passes_for_none(path, tmp_path):
    write(tmp_path / "other", ("stderr", b"forged"))
    forged = (tmp_path / "other").read_bytes()[16:]
    write(path, ("stdout", b"true" + forged))
    os.truncate(path, path.stat().st_size - 12)
    writer = LogWriter(path)
    assert (writer.offset("stdout"), writer.offset("stderr")) == (0, 0)
    writer.close()


def test_a_damaged_log_is_reported_at_the_place(path):
    write(path, ("stdout", b"good"), ("stdout", b"bad"))
    raw = bytearray(path.read_bytes())
    raw[-40] ^= 0xFF
    path.write_bytes(raw)
    reading = logs.read(path)
    assert next(reading).data == b"good"
    with pytest.raises(Corrupt):
        next(reading)


def test_a_file_that_is_no_log_is_refused_and_kept(path):
    path.write_bytes(b"somebody's notes, longer than a header")
    with pytest.raises(Corrupt):
        LogWriter(path)
    with pytest.raises(Corrupt):
        list(logs.read(path))
    assert path.read_bytes() == b"somebody's notes, longer than a header"


def test_a_full_disk_leaves_the_log_as_it_was(path, monkeypatch):
    write(path, ("stdout", b"first"))
    before = path.read_bytes()
    writer = LogWriter(path)
    pwrite = os.pwrite

    def full(fd, data, position):
        if position > len(before):
            raise OSError(28, "No space left on device")
        return pwrite(fd, bytes(data)[:10], position)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageFull):
        writer.append("stdout", b"second", 1)
    monkeypatch.undo()
    assert path.read_bytes() == before
    writer.append("stdout", b"second", 1)
    writer.close()
    assert [record.data for record in logs.read(path)] == [b"first", b"second"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (0, []),
        (1, [b"six"]),
        (2, [b"five\n", b"six"]),
        (3, [b"four\n", b"five\n", b"six"]),
        (4, [b"three\nfour\n", b"five\n", b"six"]),
        (5, [b"two\nthree\nfour\n", b"five\n", b"six"]),
        (6, [b"one\ntwo\nthree\nfour\n", b"five\n", b"six"]),
        (99, [b"one\ntwo\nthree\nfour\n", b"five\n", b"six"]),
    ],
)
def test_the_tail_counts_lines(path, lines, expected):
    write(path, ("stdout", b"one\ntwo\nthree\nfour\n"), ("stdout", b"five\n"), ("stdout", b"six"))
    assert [record.data for record in logs.read(path, tail=lines)] == expected


def test_the_tail_joins_lines_that_came_in_pieces(path):
    write(path, ("stdout", b"old\nhel"), ("stdout", b"lo wor"), ("stdout", b"ld\n"))
    assert b"".join(record.data for record in logs.read(path, tail=1)) == b"hello world\n"


def test_the_tail_counts_both_streams(path):
    write(path, ("stdout", b"a\nb\n"), ("stderr", b"x\ny\n"))
    assert text(logs.read(path, tail=3)) == [("stdout", b"b\n"), ("stderr", b"x\ny\n")]


def test_since_leaves_out_what_is_older(path):
    write(path, ("stdout", b"a"), ("stdout", b"b"), ("stdout", b"c"))
    assert [record.data for record in logs.read(path, since_ns=1)] == [b"b", b"c"]
    assert [record.data for record in logs.read(path, since_ns=2, tail=5)] == [b"c"]


async def test_following_sees_what_is_appended_until_the_end(path):
    writer = LogWriter(path)
    writer.append("stdout", b"before", 0)
    ended = asyncio.Event()
    following = logs.follow(path, ended.is_set)
    assert (await anext(following)).data == b"before"
    coming = asyncio.ensure_future(anext(following))
    await asyncio.sleep(0)
    writer.append("stdout", b"after", 1)
    assert (await coming).data == b"after"
    writer.append("stdout", b"last", 2)
    ended.set()
    assert [record.data async for record in following] == [b"last"]
    writer.close()


async def test_following_may_begin_before_the_log_is_there(path):
    following = asyncio.ensure_future(anext(logs.follow(path, lambda: False)))
    await asyncio.sleep(0)
    write(path, ("stderr", b"born"))
    assert (await following).data == b"born"


def test_bulk_is_read_back_from_either_end(path):
    pieces = [("stdout" if n % 3 else "stderr", b"%d\n" % n * 100) for n in range(2000)]
    write(path, *pieces)
    assert text(logs.read(path)) == pieces
    with open(path, "rb") as file:
        reader = LogReader(path, file.fileno())
        assert text(record for _, record in reader.backward(reader.end())) == pieces[::-1]
