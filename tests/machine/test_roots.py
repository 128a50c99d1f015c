"""Roots that are no image's, judged from inside, and by e2fsprogs on what is left."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import file_systems
from tests.support.command import Command, Ended
from tests.support.ext4 import assert_clean, read
from tests.support.home import Home

pytestmark = pytest.mark.machine

QCOW2 = b"QFI\xfb\0\0\0\3" + (112).to_bytes(8, "big") + (11).to_bytes(4, "big")


@pytest.fixture
def disk(home: Home) -> Path:
    return file_systems.with_busybox(home.work_dir / "disk.ext4", "-b", "4096")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refused(ended: Ended) -> str:
    assert ended.status == 125, ended
    return ended.stderr


def test_a_file_is_a_root_that_is_never_written_and_whose_container_keeps_what_it_wrote(
    firkin: Command, disk: Path
) -> None:
    with disk.open("r+b") as file:
        file.write(QCOW2 + b"\0" * 92 + b"/etc/passwd")  # 112 bytes on: what a qcow2 says it lies upon
    before = digest(disk)
    node = (
        "mknod /vda b $(awk '$4 == \"vda\" {print $1, $2}' /proc/partitions); head -c 4 /vda; echo; rm /vda"
    )
    script = f"cat /hello; {node}; echo $PWD $(id -u); df / | tail -1; echo >> /n; wc -l < /n"
    run = ("run", "--name", "one", "--disk", "64m", "--timing", "--rootfs", str(disk), "sh", "-c", script)
    first = firkin(*run, check=True)
    assert "fork" in first.stderr
    hello, content, *said = first.stdout.splitlines()
    assert (hello, content[:3]) == ("hello", "QFI")  # its first bytes mean nothing, here as on the host
    assert said[0].endswith("/ 0")
    assert int(said[1].split()[1]) > 40 << 10  # it fills the larger disk
    assert said[2] == "1"
    assert firkin("start", "-a", "one", check=True).stdout.splitlines()[-1] == "2"
    assert digest(disk) == before
    (facts,) = json.loads(firkin("inspect", "one", check=True).stdout)
    assert (facts["Rootfs"], facts["RootfsWritable"], facts["Image"]) == (str(disk), False, "")
    for verb in (("commit", "one", "x/y"), ("diff", "one")):
        assert f"root file system {disk}" in refused(firkin(*verb))
    firkin("snapshot", "create", "one", "kept", check=True)
    assert "root is a file of its host" in refused(firkin("snapshot", "export", "kept", "-o", "x"))
    firkin("snapshot", "restore", "kept", "--name", "two", check=True)
    firkin("wait", "two", check=True)
    assert firkin("logs", "two", check=True).stdout.splitlines()[-1] == "3"
    firkin("rm", "-f", "two", check=True)
    os.utime(disk)
    assert "is not what it was" in refused(firkin("start", "one"))
    assert "is not what it was" in refused(firkin("snapshot", "restore", "kept", "--name", "three"))
    firkin("snapshot", "rm", "kept", check=True)
    firkin("rm", "one", check=True)


def test_a_file_is_written_in_place_where_that_is_asked_for_by_one_machine_at_a_time(
    firkin: Command, disk: Path
) -> None:
    there = f"{disk}:rw"
    firkin("run", "--rm", "--rootfs", there, "sh", "-c", "echo mine > /new; chown 5:6 /new", check=True)
    assert_clean(disk)
    assert read(disk, "/new") == b"mine\n"
    firkin("run", "-d", "--name", "writer", "--rootfs", there, "sleep", "inf", check=True)
    assert "in use by another machine" in refused(firkin("run", "--rm", "--rootfs", there, "true"))
    assert "is being written" in refused(firkin("run", "--rm", "--rootfs", str(disk), "true"))
    for verb in (("suspend", "writer"), ("snapshot", "create", "writer"), ("fork", "writer")):
        assert str(disk) in refused(firkin(*verb))
    assert "no disk of its own" in refused(firkin("snapshot", "create", "--disk-only", "writer"))
    firkin("exec", "writer", "sh", "-c", "echo more >> /new", check=True)
    firkin("stop", "-t", "0", "writer", check=True)
    assert read(disk, "/new") == b"mine\nmore\n"
    firkin("rm", "writer", check=True)
    firkin("run", "-d", "--name", "reader", "--rootfs", str(disk), "sleep", "inf", check=True)
    assert "in use" in refused(firkin("run", "--rm", "--rootfs", there, "true"))
    firkin("rm", "-f", "reader", check=True)


@contextmanager
def loop_device(disk: Path) -> Iterator[str]:
    made = subprocess.run(["losetup", "-f", "--show", disk], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no loop devices here: {made.stderr.strip()}")
    device = made.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


@pytest.mark.root
def test_a_block_device_is_a_root_that_is_read_or_written(firkin: Command, disk: Path) -> None:
    with loop_device(disk) as device:
        before = digest(disk)
        firkin("run", "--rm", "--rootfs", device, "sh", "-c", "cat /hello; echo > /new", check=True)
        assert digest(disk) == before
        firkin("run", "--rm", "--rootfs", f"{device}:rw", "sh", "-c", "echo there > /new", check=True)
    assert read(disk, "/new") == b"there\n"


def test_a_staged_disk_of_an_image_is_a_root_that_outlives_the_image(firkin: Command, stocked: Home) -> None:
    path = stocked.work_dir / "box.ext4"
    said = firkin("image", "stage", "--disk", "64m", "busybox", "box.ext4", check=True).stdout
    assert said.startswith(f"{path}: ")
    assert "67.1MB" in said
    assert f"there is a file {path}" in refused(firkin("image", "stage", "busybox", "box.ext4"))
    firkin("image", "stage", "-q", "-f", "--disk", "64m", "busybox", "box.ext4", check=True)
    assert read(path, "/bin/busybox")
    ended = firkin("run", "--rm", "--rootfs", "box.ext4", "sh", "-c", "df / | tail -1", check=True)
    assert ended.stdout.split()[0] == "/dev/vda"
    assert "box" in firkin("image", "ls", check=True).stdout
