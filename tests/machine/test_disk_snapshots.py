"""Snapshots of disks, as one meets them from a shell. e2fsck and qemu-img judge what is on the disk."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from firkin.pytest.command import Command
from tests.support.ext4 import assert_clean, read

pytestmark = pytest.mark.machine

BUSY = "while :; do i=$((i+1)); mkdir -p /d; echo $i > /d/$((i % 50)); rm -f /d/$(((i + 7) % 50)); done"


def facts(firkin: Command, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(firkin("snapshot", "inspect", name, check=True).stdout)
    return found[0]


def file_system(layers: list[str], image: str, to: Path) -> Path:
    """The file system on a disk of those layers, as QEMU's tools read it."""
    top, form = (layers[0], "qcow2") if layers else (image, "raw")
    if layers:
        checked = subprocess.run(["qemu-img", "check", top], capture_output=True, text=True)
        assert "No errors were found" in checked.stdout, checked
    subprocess.run(["qemu-img", "convert", "-f", form, "-O", "raw", top, to], check=True)
    return to


def test_a_running_containers_disk_is_kept_while_it_goes_on(busybox: Command, tmp_path: Path) -> None:
    busybox("run", "-q", "-d", "--name", "box", "busybox", "sh", "-c", BUSY, check=True)
    busybox("exec", "box", "sh", "-c", "echo one > /file", check=True)
    assert busybox("snapshot", "create", "--disk-only", "box", check=True).stdout == "box-1\n"
    busybox("exec", "box", "sh", "-c", "echo two > /file; echo new > /new", check=True)
    assert busybox("snapshot", "create", "--disk-only", "box", "second", check=True).stdout == "second\n"
    assert busybox("exec", "box", "cat", "/file", "/new").stdout == "two\nnew\n"

    for name, text in (("box-1", b"one\n"), ("second", b"two\n")):
        found = facts(busybox, name)
        disk = file_system(found["Layers"], found["RootFS"], tmp_path / name)
        assert_clean(disk)
        assert read(disk, "file") == text
    assert facts(busybox, "box-1")["Children"] == ["second"]

    row = busybox("snapshot", "ls", "--format", "{{.Name}} {{.Container}} {{.Memory}} {{.Kind}}").stdout
    assert row.splitlines() == ["second box - disk", "box-1 box - disk"]
    assert busybox("snapshot", "tree").stdout == "box-1\n└── second\n    └── [box]\n"
    busybox("rm", "-f", "box", check=True)
    assert busybox("snapshot", "tree").stdout == "box-1\n└── second\n"


def test_a_container_that_starts_from_a_snapshot_begins_anew_on_its_disk(busybox: Command) -> None:
    script = "hostname; echo $HOSTNAME; cat /log; echo line >> /log"
    first = busybox("run", "--name", "box", "busybox", "sh", "-c", script).stdout.splitlines()
    assert len(first) == 2
    busybox("snapshot", "create", "box", "after", check=True)
    container_id = busybox("snapshot", "restore", "--name", "heir", "after", check=True).stdout.strip()
    assert busybox("wait", "heir").stdout == "0\n"
    assert busybox("logs", "heir").stdout.splitlines() == [container_id[:12]] * 2 + ["line"]
    assert busybox("start", "-a", "box").stdout.splitlines() == [*first, "line"]
    assert busybox("start", "-a", "box").stdout.splitlines() == [*first, "line", "line"]

    refused = busybox("snapshot", "rm", "after")
    assert refused.status == 125
    assert "is stood on by container heir" in refused.stderr
    taken = busybox("snapshot", "restore", "--name", "box", "after")
    assert (taken.status, "in use" in taken.stderr) == (125, True)
    busybox("snapshot", "rm", "-f", "after", check=True)
    assert busybox("start", "-a", "heir").stdout.splitlines()[2:] == ["line", "line"]


def test_a_disk_goes_back_and_what_it_was_is_kept(busybox: Command) -> None:
    script = "cat /log; echo line >> /log"
    busybox("run", "--name", "box", "busybox", "sh", "-c", script, check=True)
    busybox("snapshot", "create", "box", "early", check=True)
    assert busybox("start", "-a", "box").stdout == "line\n"
    assert busybox("snapshot", "rollback", "box", "early", check=True).stdout == "box-1\n"
    assert busybox("start", "-a", "box").stdout == "line\n"
    assert busybox("snapshot", "rollback", "--discard", "box", "box-1", check=True).stdout == ""
    assert busybox("start", "-a", "box").stdout == "line\nline\n"
    assert busybox("snapshot", "tree").stdout == "early\n└── box-1\n    └── [box]\n"
    assert busybox("snapshot", "rollback", "box", "nosuch").status == 125


def test_a_running_container_goes_back_only_by_force_and_runs_again(busybox: Command) -> None:
    script, at_once = "cat /f; touch /read; exec sleep 1000", ("--stop-timeout", "0")
    busybox("run", "-q", "-d", "--name", "box", *at_once, "busybox", "sh", "-c", script, check=True)
    one = "until [ -e /read ]; do sleep 0.1; done; echo one > /f; sync"
    busybox("exec", "box", "sh", "-c", one, check=True)
    busybox("snapshot", "create", "--disk-only", "box", "one", check=True)
    busybox("exec", "box", "sh", "-c", "echo two > /f; sync", check=True)
    refused = busybox("snapshot", "rollback", "box", "one")
    assert (refused.status, "--force" in refused.stderr) == (125, True)
    assert busybox("exec", "box", "cat", "/f").stdout == "two\n"
    busybox("snapshot", "rollback", "--force", "box", "one", check=True)
    assert busybox("exec", "box", "cat", "/f").stdout == "one\n"
    assert busybox("logs", "box").stdout == "one\n"
    busybox("rm", "-f", "box", check=True)


def test_what_snapshots_stand_on_stays_and_goes_with_the_last_of_them(busybox: Command) -> None:
    data = Path(busybox.environ["XDG_DATA_HOME"]) / "firkin"
    busybox("run", "--name", "box", "busybox", "sh", "-c", "echo x > /f", check=True)
    busybox("snapshot", "create", "box", "kept", check=True)
    busybox("rm", "box", check=True)
    refused = busybox("rmi", "busybox")
    assert (refused.status, "the snapshot kept" in refused.stderr) == (125, True)
    busybox("rmi", "-f", "busybox", check=True)
    busybox("prune", "-f", check=True)
    busybox("snapshot", "restore", "--name", "heir", "kept", check=True)
    assert busybox("wait", "heir").stdout == "0\n"
    busybox("rm", "heir", check=True)
    assert len(list((data / "disks").iterdir())) == 1
    assert busybox("snapshot", "rm", "kept", "nosuch").status == 125
    assert list((data / "disks").iterdir()) == []
    assert list((data / "snapshots").iterdir()) == []
    busybox("prune", "-f", check=True)
    assert list((data / "rootfs").glob("*-*")) == []
