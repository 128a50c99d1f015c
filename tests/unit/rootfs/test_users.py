"""Who a name is in a stranger's files: as the agent finds it, and nothing is found outside of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firkin.errors import UsageError
from firkin.rootfs.users import find

PASSWD = """root:x:0:0:root:/root:/bin/sh
broken line
ann:x:1000:100:Ann:/:/bin/sh
1000:x:2000:2000::/:
big:x:99999999999:1:::
"""
GROUP = "root:x:0:\nusers:x:100:\nwheel:x:10:ann\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    (made / "etc").mkdir(parents=True)
    (made / "etc/passwd").write_text(PASSWD)
    (made / "etc/group").write_text(GROUP)
    return made


@pytest.mark.parametrize(
    ("user", "ids"),
    [
        *(("", (0, 0)), ("4242", (4242, 0)), ("7:8", (7, 8))),
        *(("ann", (1000, 100)), ("ann:wheel", (1000, 10)), ("1000", (1000, 100))),
    ],
)
def test_a_user_is_whom_the_files_name(root: Path, user: str, ids: tuple[int, int]) -> None:
    assert find(root, user) == ids


@pytest.mark.parametrize("user", ["nobody", "ann:nogroup", "big", "4294967295"])
def test_a_stranger_is_refused(root: Path, user: str) -> None:
    with pytest.raises(UsageError, match=r"^user: the image has no "):
        find(root, user)


def test_a_link_means_the_roots_own_files_and_never_the_hosts(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("spy:x:1:1:::\n")
    passwd = root / "etc/passwd"
    passwd.unlink()
    for target in ("../../outside", str(tmp_path / "outside")):
        passwd.symlink_to(target)
        with pytest.raises(UsageError):
            find(root, "spy")
        passwd.unlink()
    passwd.symlink_to("/etc/real")
    (root / "etc/real").write_text("spy:x:1:2:::\n")
    assert find(root, "spy") == (1, 2)
    passwd.unlink()
    os.mkfifo(passwd)
    assert find(root, "5") == (5, 0), "what is no file says nothing, and is not waited for"
