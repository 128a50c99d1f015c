"""A container's disk stands still while its machine is saved, and no longer than whoever asked is there."""

from __future__ import annotations

import errno
import shutil
import subprocess

import pytest

from tests.guest.driver import Host, Refused

WRITE = "echo x > /file; echo written"


@pytest.fixture
def disk(box, tmp_path):
    """A block device with the box on it; at the end it is thawed, whatever the agent left undone."""
    if shutil.which("losetup") is None:
        pytest.skip("no losetup: apt install mount")
    image = tmp_path / "disk.ext4"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", box.root, image, "32M"], check=True)
    attached = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True)
    if attached.returncode != 0:
        pytest.skip(f"no loop devices here: {attached.stderr.strip()}")
    device = attached.stdout.strip()
    yield device
    (tmp_path / "mnt").mkdir()
    thaw = f"mount -t ext4 {device} {tmp_path}/mnt && fsfreeze --unfreeze {tmp_path}/mnt"
    subprocess.run(["unshare", "--mount", "sh", "-c", thaw], capture_output=True)
    subprocess.run(["losetup", "--detach", device], check=True)


@pytest.fixture
def frozen(disk, host):
    """A session whose container c1 is frozen, and proc 2 of it waiting to write."""
    host.ask("container", container="c1", root={"device": disk, "fstype": "ext4"}, hostname="box")
    host.spawn(1, "sleep", "1000", container="c1")
    assert host.ask("freeze", container="c1") == {}
    wait_until_it_waits_to_write(host)
    return host


def wait_until_it_waits_to_write(host):
    pid = host.spawn(2, "sh", "-c", WRITE, container="c1", stdout=21)
    state = "while ! grep -q 'State:.D' /proc/$0/status; do :; done"
    assert host.run(3, "sh", "-c", state, str(pid))[0] == 0


def test_nothing_is_written_until_it_is_thawed(frozen):
    assert not frozen.output[21]
    assert frozen.ask("thaw", container="c1") == {}
    assert frozen.read_to_end(21) == b"written\n"


def test_twice_frozen_is_busy_and_twice_thawed_is_invalid(frozen):
    with pytest.raises(Refused) as refused:
        frozen.ask("freeze", container="c1")
    assert (refused.value.errno, refused.value.step) == (errno.EBUSY, "freeze")
    frozen.ask("thaw", container="c1")
    with pytest.raises(Refused) as refused:
        frozen.ask("thaw", container="c1")
    assert (refused.value.errno, refused.value.step) == (errno.EINVAL, "thaw")


def test_a_host_that_comes_back_finds_nothing_frozen(frozen):
    again = Host(frozen.sock)
    again.sync(resume=True)
    again.take(21)
    assert again.read_to_end(21) == b"written\n"
    with pytest.raises(Refused) as refused:
        again.ask("thaw", container="c1")
    assert refused.value.errno == errno.EINVAL


def test_a_session_that_ends_in_an_offence_leaves_nothing_frozen(frozen):
    frozen.send(b"\xff" * 12)
    again = Host(frozen.sock)
    again.sync()
    again.take(21)
    assert again.read_to_end(21) == b"written\n"


def check_unmounted_whole(disk):
    checked = subprocess.run(["e2fsck", "-fn", disk], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    assert (
        "needs_recovery"
        not in subprocess.run(["dumpe2fs", "-h", disk], capture_output=True, text=True, check=True).stdout
    )


def test_a_frozen_container_can_be_removed(frozen, disk):
    frozen.ask("remove", container="c1")
    assert frozen.wait(1) == 137
    assert frozen.wait(2) in (0, 137)
    check_unmounted_whole(disk)


def test_a_frozen_container_whose_first_process_was_killed_ends_with_the_thaw(frozen, disk):
    frozen.ask("signal", proc=1, signal=9)
    frozen.ask("thaw", container="c1")
    assert frozen.wait(1) == 137
    frozen.ask("remove", container="c1")
    check_unmounted_whole(disk)


def test_a_frozen_container_is_powered_off_whole(frozen, disk):
    frozen.post("poweroff", sync=True)
    with pytest.raises((EOFError, ConnectionResetError)):
        frozen.until(lambda: False, "the end of the stream")
    check_unmounted_whole(disk)


def test_a_container_that_ended_by_itself_is_unmounted_by_the_power_off(disk, host):
    host.ask("container", container="c1", root={"device": disk, "fstype": "ext4"}, hostname="box")
    host.spawn(1, "sh", "-c", WRITE, container="c1")
    host.wait(1)
    host.post("poweroff", sync=True)
    with pytest.raises((EOFError, ConnectionResetError)):
        host.until(lambda: False, "the end of the stream")
    check_unmounted_whole(disk)


def test_a_container_that_ended_is_unmounted_when_nobody_wants_anything(disk, host):
    host.ask("container", container="c1", root={"device": disk, "fstype": "ext4"}, hostname="box")
    host.spawn(1, "sh", "-c", WRITE, container="c1")
    host.wait(1)
    exclusive = f"while ! python3 -c 'import os; os.open(\"{disk}\", os.O_RDONLY | os.O_EXCL)'; do :; done"
    assert subprocess.run(["sh", "-c", exclusive], capture_output=True, timeout=20).returncode == 0
    check_unmounted_whole(disk)


def test_an_identity_waits_for_the_thaw(frozen):
    with pytest.raises(Refused) as refused:
        frozen.ask("identity", container="c1", machine_id="0" * 32)
    assert refused.value.errno == errno.EBUSY
    frozen.ask("thaw", container="c1")
    frozen.ask("identity", container="c1", machine_id="0" * 32)


def test_what_is_frozen_is_the_root_wherever_the_first_process_went(disk, host):
    tmpfs = {"type": "tmpfs", "source": "", "target": "/other", "options": []}
    root = {"device": disk, "fstype": "ext4"}
    host.ask("container", container="c1", root=root, hostname="box", mounts=[tmpfs])
    move = "cp /bin/busybox /other; exec chroot /other /busybox sh -c 'echo moved; read end'"
    host.spawn(1, "sh", "-c", move, container="c1", stdin=10, stdout=11)
    host.until(lambda: b"moved" in host.output[11], "the new root")
    host.ask("freeze", container="c1")
    wait_until_it_waits_to_write(host)
    host.ask("thaw", container="c1")
    assert host.read_to_end(21) == b"written\n"


def test_a_directory_of_the_machine_is_not_the_containers_to_freeze(host, box):
    box.running(host)
    for op in ("freeze", "thaw"):
        with pytest.raises(Refused) as refused:
            host.ask(op, container="c1")
        assert (refused.value.errno, refused.value.step) == (errno.EOPNOTSUPP, op)


def test_only_what_runs_can_be_frozen(host, box):
    with pytest.raises(Refused) as refused:
        host.ask("freeze", container="c1")
    assert refused.value.errno == errno.ENOENT
    box.running(host)
    host.ask("signal", proc=1, signal=9)
    host.wait(1)
    with pytest.raises(Refused) as refused:
        host.ask("freeze", container="c1")
    assert refused.value.errno == errno.ESRCH


@pytest.mark.parametrize("op", ["hold", "release"])
def test_a_machine_that_is_not_ours_is_not_held(host, op):
    with pytest.raises(Refused) as refused:
        host.ask(op)
    assert refused.value.errno == errno.EPERM
