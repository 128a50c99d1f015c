"""`firkin unshare` and `firkin volume chown`, as a user: what they say of ids is what the kernel says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from firkin.engine.volume_owner import parse_owner
from firkin.errors import UsageError
from firkin.pytest.command import Command
from firkin.pytest.home import Home
from tests.conformance.test_trees import map_of
from tests.support.user import User

pytestmark = pytest.mark.root


@pytest.fixture
def directory(unprivileged: User) -> Path:
    """A directory of the user's that holds a file of a container's user 1000."""
    place = unprivileged.home.work_dir / f"u{os.urandom(4).hex()}"
    place.mkdir()
    (place / "x").write_text("x")
    os.chown(place, unprivileged.uid, unprivileged.gid)
    ids = map_of(unprivileged)
    os.chown(place / "x", ids.uids.outside(1000) or 0, ids.gids.outside(1000) or 0)
    return place


def test_unshare_shows_and_removes_what_containers_users_own(unprivileged: User, directory: Path) -> None:
    unshare = ("unshare", "sh", "-c")

    script = (
        f"cd {directory} && stat -c %u:%g . x && cat /proc/self/uid_map && mount -t tmpfs none /mnt && rm x"
    )
    lines = unprivileged.firkin(*unshare, script, check=True).stdout.splitlines()
    assert lines[:2] == ["0:0", "1000:1000"]
    ids = map_of(unprivileged).uids.ranges
    assert [tuple(map(int, line.split())) for line in lines[2:]] == [
        (e.inside, e.outside, e.count) for e in ids
    ]
    assert os.listdir(directory) == []
    assert not os.path.ismount("/mnt"), "its mounts are its own"


def test_unshare_ends_as_its_command_does(unprivileged: User) -> None:
    assert unprivileged.firkin("unshare", "sh", "-c", "exit 7").status == 7
    missing = unprivileged.firkin("unshare", "no-such-program")
    assert (missing.status, "not found" in missing.stderr) == (127, True), missing
    assert "uid=0(root)" in unprivileged.firkin("unshare", input="id\n", SHELL="/bin/sh").stdout


def test_root_is_told_that_it_needs_no_unshare(firkin: Command) -> None:
    refused = firkin("unshare", "true")
    assert (refused.status, "without `firkin unshare`" in refused.stderr) == (125, True), refused


def owners(tree: Path) -> dict[str, tuple[int, int]]:
    return {each.name: (each.lstat().st_uid, each.lstat().st_gid) for each in (tree, *tree.iterdir())}


def test_a_volume_changes_hands_and_can_be_removed(unprivileged: User, directory: Path) -> None:
    firkin, volume = unprivileged.firkin, f"v{directory.name}"
    firkin("volume", "create", "-d", "dir", volume, check=True)
    data = unprivileged.home.data_dir / "volumes" / volume / "data"
    subprocess.run(["cp", "-a", f"{directory}/.", data], check=True)
    (data / "link").symlink_to("/etc/passwd")
    os.chown(data / "link", unprivileged.uid, unprivileged.gid, follow_symlinks=False)
    before = os.stat("/etc/passwd").st_uid
    assert firkin("volume", "chown", "33:44", volume, check=True).stdout == f"{volume}\n"
    ids = map_of(unprivileged)
    his = (ids.uids.outside(33), ids.gids.outside(44))
    assert owners(data) == {"data": his, "x": his, "link": his}
    assert os.stat("/etc/passwd").st_uid == before
    refused = firkin("volume", "chown", "70000", volume)
    assert "uid 70000 is not among the ids" in refused.stderr, refused
    firkin("volume", "chown", "0", volume, check=True)
    assert owners(data)["x"] == (unprivileged.uid, unprivileged.gid)
    firkin("volume", "chown", "7", volume, check=True)
    os.chmod(data, 0o700)
    firkin("volume", "rm", volume, check=True)
    assert not data.parent.exists()
    assert not list(data.parent.parent.glob(f".{volume}*")), "nothing of subordinate ids is left"


def test_a_disks_owners_are_changed_by_a_container(firkin: Command, home: Home) -> None:
    firkin("volume", "create", "disk", check=True)
    refused = firkin("volume", "chown", "1", "disk")
    assert "firkin run --rm -v disk:/v IMAGE chown -R 1:1 /v" in refused.stderr, refused
    assert "no such volume" in firkin("volume", "chown", "1", "none").stderr


@pytest.mark.parametrize("word", ["", "a", "1:", ":1", "-1", "1:2:3", "4294967295", "99999999999"])
def test_what_is_no_owner_is_refused(word: str) -> None:
    with pytest.raises(UsageError):
        parse_owner(word)
