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

from firkin.pytest.command import Command, Ended
from firkin.pytest.home import Home
from tests.support import file_systems
from tests.support.ext4 import assert_clean, read

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


def mounted(said: str) -> dict[str, str]:
    """Device or type by the place where it is mounted, from what /proc/mounts says."""
    return {line.split()[1]: line.split()[0] for line in said.splitlines() if "/" in line}


def test_a_writable_layer_takes_what_is_written_and_the_image_is_only_read(
    firkin: Command, stocked: Home
) -> None:
    script = (
        "cat /proc/mounts /proc/partitions; echo >> /n; wc -l < /n; rm -f /bin/vi; chown 7:8 /etc/passwd;"
        "for d in vda vdb vdc; do cat /sys/block/$d/ro; done; df -k / | tail -1"
    )
    run = ("run", "--name", "one", "--writable-layer", "48m", "-v", "kept:/kept", "--timing", "busybox")
    first = firkin(*run, "sh", "-c", script, check=True)
    assert "fork" in first.stderr, first.stderr
    *_, count, root, layer, volume, size = first.stdout.splitlines()
    assert mounted(first.stdout)["/"] == "overlay"
    assert mounted(first.stdout)["/kept"] == "/dev/vdc"  # behind the root file system, then the layer
    assert (count, root, layer, volume) == ("1", "1", "0", "0")
    assert 30 << 10 < int(size.split()[1]) < 48 << 10
    (facts,) = json.loads(firkin("inspect", "one", check=True).stdout)
    path = Path(facts["WritableLayer"]["Path"])
    assert facts["WritableLayer"] == {"Path": str(path), "Size": 48 << 20, "Own": True}
    assert_clean(path)
    assert read(path, "/upper/n") == b"\n"
    assert firkin("start", "-a", "one", check=True).stdout.splitlines()[-5] == "2"
    firkin("cp", "one:/n", "n", check=True)
    assert (stocked.work_dir / "n").read_text() == "\n\n"
    firkin("cp", "n", "one:/m", check=True)
    tar = firkin("export", "one", "-o", "all.tar", check=True)
    assert tar.status == 0
    listed = subprocess.run(
        ["tar", "-tvf", stocked.work_dir / "all.tar"], capture_output=True, text=True
    ).stdout
    owners = {line.split()[5]: line.split()[1] for line in listed.splitlines()}
    assert owners["etc/passwd"] == "7/8"
    assert {"n", "m", "bin/busybox"} <= set(owners)
    assert "bin/vi" not in owners
    assert "writable layer" in refused(firkin("snapshot", "create", "one"))
    check_what_it_changed(firkin)
    firkin("rm", "-v", "one", check=True)
    assert not path.exists()
    firkin("run", "--rm", "busybox", "sh", "-c", "test -e /bin/vi && ! test -e /n", check=True)


def check_what_it_changed(firkin: Command) -> None:
    """Of one, which has ended; and of one that runs on the image that is made of it."""
    assert firkin("diff", "one", check=True).stdout.splitlines() == [
        "C /bin", "D /bin/vi", "C /etc", "C /etc/passwd", "A /kept", "A /m", "A /n",
    ]  # fmt: skip
    firkin("commit", "one", "made:2", check=True)
    run = ("run", "-d", "--name", "two", "--writable-layer", "16m", "made:2", "sleep", "inf")
    firkin(*run, check=True)
    script = "stat -c %u:%g /etc/passwd; wc -l < /n; test -e /bin/vi || echo gone; rm /n; touch /late"
    assert firkin("exec", "two", "sh", "-c", script, check=True).stdout.split() == ["7:8", "2", "gone"]
    assert firkin("diff", "two", check=True).stdout.splitlines() == ["A /late", "D /n"]
    firkin("commit", "two", "made:3", check=True)
    firkin("rm", "-f", "two", check=True)
    firkin("run", "--rm", "made:3", "sh", "-c", "test -e /late && ! test -e /n && test -e /m", check=True)


def test_a_layer_of_the_users_stays_and_is_for_one_machine_at_a_time(firkin: Command, disk: Path) -> None:
    layer = disk.with_name("layer.ext4")
    file_systems.make(layer, size="32M")
    before = digest(disk)
    run = ("run", "--rootfs", "--writable-layer", str(layer), "--entropy")
    firkin(*run, "-d", "--name", "one", str(disk), "sleep", "inf", check=True)
    firkin("exec", "one", "sh", "-c", "echo more >> /hello; touch /new", check=True)
    assert "in use" in refused(firkin(*run, "--rm", str(disk), "true"))
    assert "is being written" not in firkin("run", "--rm", "--rootfs", str(disk), "true", check=True).stderr
    for verb in (("suspend", "one"), ("fork", "one"), ("snapshot", "create", "--disk-only", "one")):
        assert "writable layer" in refused(firkin(*verb))
    firkin("stop", "-t", "0", "one", check=True)
    firkin("rm", "one", check=True)
    assert digest(disk) == before
    assert_clean(layer)
    assert firkin(*run, "--rm", str(disk), "cat", "/hello", check=True).stdout == "hello\nmore\n"
    assert_clean(layer)


def test_a_device_is_a_disk_that_a_container_has_as_it_is(firkin: Command, stocked: Home) -> None:
    one, two = stocked.work_dir / "one", stocked.work_dir / "two"
    one.write_bytes(b"first".ljust(1 << 20, b"\0"))
    two.write_bytes(b"second".ljust(512 * 3, b"\0"))
    run = ("run", "--rm", "--timing", "--device", "./one:/dev/one:rw", "--device", f"{two}:/mnt/two:r")
    script = (
        "cd /sys/block; cat vdb/size vdc/size vdb/ro vdc/ro; head -c 6 /mnt/two; stat -c ' %F %a' /dev/one;"
        "printf written | dd of=/dev/one conv=fsync 2>/dev/null;"
        "echo x 2>/dev/null > /mnt/two || echo refused;"
        "mknod /x b $(tr : ' ' < vdc/dev); echo x 2>/dev/null > /x || echo refused"
    )
    ended = firkin(*run, "busybox", "sh", "-c", script, check=True)
    assert "fork" not in ended.stderr, ended.stderr
    assert ended.stdout.splitlines() == [
        *("2048", "3", "0", "1", "second block special file 644", "refused", "refused")
    ]
    assert one.read_bytes()[:8] == b"written\0"
    assert two.read_bytes()[:7] == b"second\0"
    firkin("run", "-d", "--name", "holder", "--device", str(one), "busybox", "sleep", "inf", check=True)
    assert "in use" in refused(firkin("run", "--rm", "--device", str(one), "busybox", "true"))
    assert (
        "device of" in refused(firkin("suspend", "holder")) or str(one) in firkin("suspend", "holder").stderr
    )
    (facts,) = json.loads(firkin("inspect", "holder", check=True).stdout)
    assert facts["HostConfig"]["Devices"] == [
        {"PathOnHost": str(one), "PathInContainer": str(one), "CgroupPermissions": "rwm"}
    ]
    firkin("rm", "-f", "holder", check=True)
    assert "character device" in refused(firkin("run", "--rm", "--device", "/dev/null", "busybox", "true"))
