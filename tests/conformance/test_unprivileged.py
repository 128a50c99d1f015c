"""What root can do here, a user without rights can do: firkin asks for no group and no setuid program."""

from __future__ import annotations

import pytest

from tests.support.images import busybox_tar
from tests.support.user import User

pytestmark = pytest.mark.machine


@pytest.fixture
def user(unprivileged: User) -> User:
    """Somebody who has imported an image called busybox."""
    if "busybox" not in unprivileged.firkin("images", "--format", "{{.Repository}}", check=True).stdout:
        unprivileged.firkin("import", "-", "busybox", input=busybox_tar(), check=True)
    return unprivileged


def test_a_user_without_rights_runs_a_container(user: User) -> None:
    ended = user.firkin("run", "--rm", "-i", "busybox", "sh", "-c", "cat; id -u; exit 3", input="said\n")
    assert (ended.status, ended.stdout) == (3, "said\n0\n"), ended


def test_a_user_without_rights_leaves_one_running_and_comes_back(user: User) -> None:
    firkin = user.firkin
    name = "left"
    firkin("run", "-d", "--name", name, "busybox", "sh", "-c", "echo begun; sleep 1000; exit", check=True)
    try:
        assert firkin("ps", "--format", "{{.Names}}", check=True).stdout.split() == [name]
        assert firkin("exec", name, "cat", "/proc/1/comm", check=True).stdout == "sh\n"
        assert firkin("logs", name, check=True).stdout == "begun\n"
    finally:
        firkin("rm", "-f", name, check=True)
    assert firkin("ps", "-aq", check=True).stdout == ""


def test_a_user_without_rights_keeps_a_container_and_starts_from_it(user: User) -> None:
    firkin = user.firkin
    firkin("run", "-d", "--read-only", "--name", "sealed", "busybox", "sleep", "1000", check=True)
    firkin("run", "-d", "--name", "kept", "busybox", "sleep", "1000", check=True)
    try:
        firkin("exec", "kept", "sh", "-c", "echo one > /file", check=True)
        firkin("snapshot", "create", "--disk-only", "sealed", "ro", check=True)
        firkin("snapshot", "create", "--disk-only", "kept", "disk", check=True)
        firkin("snapshot", "create", "kept", "full", check=True)
        for number, name in enumerate(("disk", "full")):
            firkin("snapshot", "restore", "--name", f"heir{number}", name, check=True)
            assert firkin("exec", f"heir{number}", "cat", "/file").stdout == "one\n"
    finally:
        firkin("rm", "-f", *firkin("ps", "-aq").stdout.split(), check=True)
    firkin("snapshot", "rm", "-f", "ro", "disk", "full", check=True)
    assert list((user.home.data_dir / "disks").iterdir()) == []


def test_a_user_without_rights_shares_a_directory(user: User) -> None:
    note = user.home.work_dir / "note"
    user.command("sh")("-c", "echo mine > note", check=True)
    share = f"{user.home.work_dir}:/mine"
    seen = user.firkin(
        "run", "--rm", "-v", share, "busybox", "sh", "-c", "cat /mine/note; echo yours > /mine/note"
    )
    assert (seen.status, seen.stdout) == (0, "mine\n"), seen
    assert note.read_text() == "yours\n"
    assert note.stat().st_uid == user.uid


def test_a_user_without_rights_publishes_a_port(user: User) -> None:
    firkin = user.firkin
    serve = "echo hi > index.html; exec httpd -f -p 80"
    firkin("run", "-d", "--name", "web", "-p", "127.0.0.1::80", "busybox", "sh", "-c", serve, check=True)
    try:
        template = '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}'
        port = firkin("inspect", "--format", template, "web", check=True).stdout.strip()
        assert _eventually_fetched(f"http://127.0.0.1:{port}/") == b"hi\n"
    finally:
        firkin("rm", "-f", "web", check=True)


def _eventually_fetched(url: str) -> bytes:
    """The body at `url`: the server in there may need a moment to listen."""
    import http.client
    import time
    import urllib.request

    end = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bytes(answer.read())
        except (OSError, http.client.HTTPException):
            if time.monotonic() > end:
                raise


def test_a_user_without_rights_sets_the_host_up_and_a_container_runs(user: User) -> None:
    first = user.firkin("setup")
    assert first.stdout.endswith("a container runs\n"), first
    assert "wrote " in first.stdout
    assert first.status in (0, 1, 2)  # the doctor's word about the rest of this host
    again = user.firkin("setup", "--no-run")
    assert "wrote " not in again.stdout, again
    assert "removed " in user.firkin("setup", "--undo", check=True).stdout
