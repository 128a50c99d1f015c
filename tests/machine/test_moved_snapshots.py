"""A snapshot of a running container goes to another host by a file, and goes on there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from firkin.pytest import leaks
from firkin.pytest.command import FIRKIN, Command
from firkin.pytest.home import Home, fresh_home
from firkin.pytest.registry import Registry

pytestmark = pytest.mark.machine


@pytest.fixture
def elsewhere(cache: Path) -> Iterator[Command]:
    """firkin on another host, which has the same programs and no image."""
    with fresh_home() as home:
        home.share_cache(cache)
        yield Command(FIRKIN, home.environ(), home.work_dir)
        leaks.dismiss_supervisor(str(home.root))
        left = leaks.end_leftovers(str(home.root))
        assert not left


def test_a_container_goes_on_elsewhere_where_its_snapshot_was_made(
    stocked: Home, firkin: Command, elsewhere: Command, tmp_path: Path
) -> None:
    counting = "n=0; echo here > /written; while true; do n=$((n+1)); echo $n > /tmp/n; sleep 0.1; done"
    firkin("run", "-d", "--name", "web", "busybox", "sh", "-c", counting, check=True)
    firkin("exec", "web", "sh", "-c", "until [ -s /tmp/n ]; do sleep 0.1; done", check=True)
    name = firkin("snapshot", "create", "web", check=True).stdout.strip()
    counted = int(firkin("exec", "web", "cat", "/tmp/n", check=True).stdout)
    archive = tmp_path / "web.tar"
    firkin("snapshot", "export", name, "-o", str(archive), check=True)
    firkin("rm", "-f", "web", check=True)
    assert elsewhere("snapshot", "import", str(archive), check=True).stdout == f"{name}\n"
    assert elsewhere("images", "-q", check=True).stdout == ""
    restored = elsewhere("snapshot", "restore", "--name", "moved", name, check=True).stdout.strip()
    assert restored
    goes_on = f"until [ $(cat /tmp/n) -gt {counted + 5} ]; do sleep 0.1; done; cat /written"
    assert elsewhere("exec", "moved", "sh", "-c", goes_on, check=True).stdout == "here\n"
    elsewhere("rm", "-f", "moved", check=True)


def test_a_disk_goes_elsewhere_through_a_registry(
    stocked: Home, firkin: Command, elsewhere: Command, registry: Registry
) -> None:
    writes_or_reads = "if [ -e /written ]; then cat /written; else echo long ago > /written; fi"
    firkin("run", "--name", "web", "busybox", "sh", "-c", writes_or_reads, check=True)
    firkin("snapshot", "create", "web", "kept", check=True)
    target = registry.reference("moved/disk")
    firkin("push", "kept", target, check=True)
    assert elsewhere("pull", target, check=True).stdout == "kept\n"
    elsewhere("snapshot", "restore", "--name", "moved", "kept", check=True)
    elsewhere("wait", "moved", check=True)
    assert elsewhere("logs", "moved", check=True).stdout == "long ago\n"
    elsewhere("rm", "-f", "moved", check=True)
