"""What is said of a root file system that is no image's, and what cannot be together with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from firkin.engine import rules
from firkin.engine.words import run_options
from firkin.errors import UsageError


def options(image: str, command: tuple[str, ...] = ("sh",), **words: object):
    return run_options(image, command, rootfs=True, **words)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "path", "writable"),
    [
        ("/disk.ext4", "/disk.ext4", False),
        ("/disk.ext4:rw", "/disk.ext4", True),
        ("/disk.ext4:O", "/disk.ext4", False),
        ("/a:b", "/a:b", False),
    ],
)
def test_a_root_is_only_read_unless_it_is_said(word: str, path: str, writable: bool) -> None:
    file = options(word).root.file
    assert file is not None
    assert (file.path, file.writable) == (path, writable)


def test_a_path_is_the_callers_and_links_are_followed_when_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("disk")
    file = options("link").root.file
    assert file is not None
    assert file.path == str(tmp_path / "disk")


@pytest.mark.parametrize("word", [":rw", "/disk\0", "/" + "x" * 4096])
def test_what_is_no_path_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="is not a path"):
        options(word)


@pytest.mark.parametrize(
    ("word", "command", "words", "reason"),
    [
        ("/disk", (), {}, "no command to run"),
        ("/disk", ("sh",), {"pull": "always"}, "no image to pull"),
        ("/disk", ("sh",), {"platform": "linux/amd64"}, "no image to pull"),
        ("/disk:rw", ("sh",), {"disk": "1g"}, "written in place"),
    ],
)
def test_what_contradicts_is_refused_before_anything_is_looked_at(
    word: str, command: tuple[str, ...], words: dict[str, object], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        rules.check(options(word, command, **words))
