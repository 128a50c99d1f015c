"""What containers change in real machines, told from their disks."""

from __future__ import annotations

import json

import pytest

from tests.support.command import Command
from tests.support.images import busybox_tar

pytestmark = pytest.mark.machine


@pytest.fixture
def busybox(firkin: Command) -> Command:
    firkin("import", "-c", 'CMD ["sh"]', "-", "busybox", input=busybox_tar(), check=True)
    return firkin


def test_a_container_that_changes_nothing_has_no_changes(busybox: Command) -> None:
    busybox("run", "-q", "--name", "idle", "busybox", "true", check=True)
    assert busybox("diff", "idle", check=True).stdout == ""


def test_what_a_container_changed_is_shown_once_it_has_ended(busybox: Command) -> None:
    script = (
        "mkdir -p /new/deep; echo x > /new/deep/file; chmod 700 /bin/busybox; rm /bin/cat; "
        "ln -s /new /link; dd if=/dev/zero of=/big bs=1M count=20; rm /big; touch \"/new/a$(printf '\\\\nb')\""
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
