"""Files in the cache: made once, whole or not at all, and tidied when nobody uses them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from firkin.machine.artifacts import artifact, keep, lookup, stamp

MONTH_S = 31 * 86_400


def test_an_artifact_is_made_once_for_the_same_inputs(tmp_path: Path) -> None:
    calls: list[int] = []

    def make() -> bytes:
        calls.append(1)
        return b"data"

    paths = {artifact(tmp_path, "kind", ("a", "b"), make) for _ in range(3)}
    assert len(paths) == len(calls) == 1
    assert paths.pop().read_bytes() == b"data"
    assert artifact(tmp_path, "kind", ("ab",), make) != artifact(tmp_path, "other", ("a", "b"), make)


def test_a_failed_make_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> bytes:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        artifact(tmp_path, "kind", ("a",), fail)
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_used_for_a_month_goes_when_its_successor_comes(tmp_path: Path) -> None:
    unused, used = (keep(tmp_path, "kind", (name,), b"") for name in ("unused", "used"))
    other = keep(tmp_path, "other", ("old",), b"")
    for path in (unused, used, other):
        os.utime(path, (0, time.time() - MONTH_S))
    assert lookup(tmp_path, "kind", ("used",)) == used
    keep(tmp_path, "kind", ("new",), b"")
    assert not unused.exists()
    assert used.exists()
    assert other.exists()


def test_a_file_that_was_replaced_has_another_stamp(tmp_path: Path) -> None:
    path, another = tmp_path / "file", tmp_path / "another"
    path.write_bytes(b"same size")
    before = stamp(path)
    assert stamp(path) == before
    another.write_bytes(b"same Size")
    os.utime(another, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    another.rename(path)
    assert stamp(path) != before
