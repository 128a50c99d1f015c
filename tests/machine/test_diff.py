"""What containers change in real machines, told from their disks."""

from __future__ import annotations

import json

import pytest

from tests.support.command import Command
from tests.support.home import Home
from tests.support.images import busybox_tar

pytestmark = pytest.mark.machine


@pytest.fixture
def busybox(firkin: Command) -> Command:
    firkin("import", "-c", 'CMD ["sh"]', "-", "busybox", input=busybox_tar(), check=True)
    return firkin


@pytest.mark.parametrize("image", ["busybox", "debian"])
def test_a_container_that_changes_nothing_has_no_changes(stocked: Home, firkin: Command, image: str) -> None:
    firkin("run", "-q", "--name", "idle", image, "true", check=True)
    assert firkin("diff", "idle", check=True).stdout == ""


def test_what_a_container_changed_is_shown_once_it_has_ended(busybox: Command) -> None:
    script = (
        "mkdir -p /new/deep; echo x > /new/deep/file; chmod 700 /bin/busybox; rm /bin/cat; "
        "ln -s /new /link; dd if=/dev/zero of=/big bs=1M count=20; rm /big; touch \"/new/a$(printf '\\nb')\""
    )
    busybox("run", "-q", "--name", "busy", "busybox", "sh", "-c", script, check=True)
    shown = busybox("diff", "busy", check=True).stdout
    assert shown.splitlines() == [
        "C /bin", "C /bin/busybox", "D /bin/cat", "A /link", "A /new", "A /new/a\\nb", "A /new/deep",
        "A /new/deep/file",
    ]  # fmt: skip
    rows = busybox("diff", "--format", "json", "busy", check=True).stdout.splitlines()
    assert json.loads(rows[5]) == {"Type": "A", "Path": "/new/a\nb"}
    assert busybox("diff", "--format", "{{.Type}}{{.Path}}", "busy", check=True).stdout.startswith("C/bin\n")


def test_snapshots_are_compared_with_each_other_and_with_what_they_stand_on(busybox: Command) -> None:
    busybox("run", "-q", "-d", "--name", "box", "busybox", "sleep", "1000", check=True)
    busybox("exec", "box", "sh", "-c", "mkdir /d; echo one > /d/file; rm /bin/cat", check=True)
    busybox("snapshot", "create", "--disk-only", "box", "one", check=True)
    busybox("exec", "box", "sh", "-c", "echo two > /d/file; echo new > /d/new", check=True)
    busybox("snapshot", "create", "--disk-only", "box", "two", check=True)
    busybox("exec", "box", "sh", "-c", "echo branch > /branch; rm -r /d", check=True)
    busybox("snapshot", "create", "--disk-only", "box", "three", check=True)

    def diff(*names: str) -> list[str]:
        return busybox("snapshot", "diff", *names, check=True).stdout.splitlines()

    assert diff("one") == ["C /bin", "D /bin/cat", "A /d", "A /d/file"]
    assert diff("two") == diff("one", "two") == ["C /d", "C /d/file", "A /d/new"]
    assert diff("three") == ["A /branch", "D /d"]
    assert diff("one", "three") == ["A /branch", "D /d"]
    assert diff("three", "one") == ["D /branch", "A /d", "A /d/file"]
    assert diff("two", "two") == []
    assert "is running" in busybox("diff", "box").stderr
    assert "no such snapshot" in busybox("snapshot", "diff", "one", "nosuch").stderr
    assert "cannot be compared" in busybox("snapshot", "diff", "one", "two", "three").stderr
    busybox("stop", "-t", "0", "box", check=True)
    assert busybox("diff", "box", check=True).stdout.splitlines() == ["C /bin", "D /bin/cat", "A /branch"]
    busybox("rm", "box", check=True)
