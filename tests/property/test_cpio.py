"""Our initramfs archives, read by GNU cpio."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firkin.machine import cpio

NAMES = st.text("abcdefghijk_.-0123456789 é", min_size=1, max_size=40).filter(
    lambda name: name.strip(". ") == name
)
FILES = st.dictionaries(
    NAMES, st.tuples(st.binary(max_size=5000), st.sampled_from([0o644, 0o755, 0o600])), max_size=6
)


@settings(max_examples=30, deadline=None)
@given(FILES, st.lists(NAMES, unique=True, max_size=3))
def test_cpio_unpacks_every_file_as_it_was(
    files: dict[str, tuple[bytes, int]], directories: list[str]
) -> None:
    entries = [cpio.directory(f"d{name}") for name in directories]
    entries += [cpio.file(f"f{name}", data, mode) for name, (data, mode) in files.items()]
    with TemporaryDirectory() as name:
        subprocess.run(["cpio", "-id", "--quiet"], cwd=name, input=cpio.archive(entries), check=True)
        root = Path(name)
        assert sorted(os.listdir(root)) == sorted(entry.name for entry in entries)
        for file, (data, mode) in files.items():
            assert (root / f"f{file}").read_bytes() == data
            assert stat.S_IMODE((root / f"f{file}").stat().st_mode) == mode


@given(FILES)
def test_the_same_entries_make_the_same_archive(files: dict[str, tuple[bytes, int]]) -> None:
    entries = [cpio.file(name, data, mode) for name, (data, mode) in files.items()]
    assert cpio.archive(entries) == cpio.archive(entries)


def test_devices_and_links_are_listed_as_what_they_are() -> None:
    entries = [
        cpio.Entry("console", stat.S_IFCHR | 0o600, device=(5, 1)),
        cpio.Entry("link", stat.S_IFLNK | 0o777, b"console"),
    ]
    listing = subprocess.run(
        ["cpio", "-itv", "--quiet"], input=cpio.archive(entries), capture_output=True, check=True
    ).stdout.decode()
    assert "crw-------" in listing
    assert "5,   1" in listing
    assert "link -> console" in listing


@pytest.mark.parametrize("name", ["", "a\0b", "TRAILER!!!"])
def test_a_name_that_the_format_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cpio cannot hold"):
        cpio.archive([cpio.file(name, b"")])
