"""A root that is only read, under a layer; and block devices as such. The kernel and e2fsck judge."""

from __future__ import annotations

import errno
import hashlib
import io
import subprocess
import tarfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.guest.driver import Refused
from tests.guest.test_tree import Trees
from tests.support.ext4 import DEBUGFS, assert_clean, names, read


@contextmanager
def attached(image):
    made = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"no loop devices here: {made.stderr.strip()}")
    try:
        yield made.stdout.strip()
    finally:
        device = made.stdout.strip()  # this kernel's own, to which the agent said that it is only read
        subprocess.run(["blockdev", "--setrw", device], check=True)
        subprocess.run(["losetup", "--detach", device], check=True)


@pytest.fixture
def disks(box, tmp_path):
    """The devices of a root and of an empty layer, and their files."""
    root, layer = tmp_path / "root.ext4", tmp_path / "layer.ext4"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", box.root, root, "32M"], check=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", layer, "32M"], check=True)
    for field in ("mode 040751", "gid 7"):
        subprocess.run([DEBUGFS, "-w", "-R", f"set_inode_field / {field}", root], check=True)
    with ExitStack() as stack:
        yield stack.enter_context(attached(root)), stack.enter_context(attached(layer)), root, layer


def container(host, root, layer, **fields):
    described = {"device": root, "fstype": "ext4", "upper": layer}
    host.ask("container", container="c1", root=described, hostname="box", **fields)


SCRIPT = """
stat -c %a:%u:%g /; rm /etc/group; mkdir -p /etc/new; echo hello > /etc/new/file; chown 5:6 /etc/new/file
grep ' / ' /proc/mounts; ls /; cat /etc/passwd >> /etc/new/passwd; ln /etc/new/file /etc/new/twin
"""


def test_what_is_written_goes_to_the_layer_and_nothing_to_the_root(host, disks):
    device, layer_device, root, layer = disks
    before = hashlib.sha256(root.read_bytes()).hexdigest()
    container(host, device, layer_device)
    status, said, _ = host.run(1, "sh", "-c", SCRIPT, container="c1")
    assert status == 0
    first, mounted, *listed = said.decode().splitlines()
    assert first == "751:0:7"  # the root's own
    assert mounted.startswith("overlay / overlay rw,")
    assert "upper" not in listed
    assert "etc" in listed
    assert Path("/sys/block", Path(device).name, "ro").read_text() == "1\n"
    host.ask("remove", container="c1")
    container(host, device, layer_device)  # again, on what is there
    host.spawn(2, "sleep", "1000", container="c1")
    assert (
        host.run(3, "sh", "-c", "cat /etc/new/file /etc/group; stat -c %h:%u /etc/new/twin", container="c1")[
            1
        ]
        == b"hello\n2:5\n"
    )
    packed, _ = Trees(host, "c1").pack("/", names=["."], written=True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        found = {each.name: each for each in archive}
    assert found["./etc/group"].ischr()  # a whiteout
    assert (found["."].mode, found["."].gid) == (0o751, 7)
    assert "./etc/new/file" in found
    assert "./etc/passwd" not in found  # which nobody wrote
    host.ask("remove", container="c1")
    assert hashlib.sha256(root.read_bytes()).hexdigest() == before
    assert_clean(layer)
    assert names(layer) >= {"upper", "work"}
    assert read(layer, "/upper/etc/new/file") == b"hello\n"


def test_a_layer_that_is_none_is_refused_and_leaves_nothing(host, disks, tmp_path):
    device, layer_device, *_ = disks
    with pytest.raises(Refused) as refused:
        container(host, device, "/dev/null")
    assert (refused.value.step, refused.value.object) == ("mount", "/dev/null")
    (tmp_path / "mnt").mkdir()
    script = f"mount {layer_device} {tmp_path}/mnt && ln -s / {tmp_path}/mnt/upper"
    subprocess.run(["unshare", "--mount", "sh", "-c", script], check=True)
    with pytest.raises(Refused) as refused:
        container(host, device, layer_device)
    assert (refused.value.step, refused.value.object) == ("layer", layer_device)
    assert refused.value.errno in (errno.ENOTDIR, errno.ELOOP)


def test_a_block_device_is_where_it_was_asked_for_with_its_mode_and_can_only_be_read_where_told(
    host, box, disks
):
    device, other, root, _ = disks
    (box.root / "data").mkdir()
    nodes = [
        {"path": "/dev/one", "device": device, "readonly": True, "mode": 0o640, "uid": 3, "gid": 6},
        {"path": "/data/two", "device": other, "mode": 0o600},
    ]
    box.container(host, "c1", devices=nodes)
    script = (
        "stat -c %F:%a:%u:%g /dev/one /data/two; dd if=/dev/one bs=1080 count=1 2>/dev/null | tail -c 2;"
        "echo x > /dev/one || echo refused; printf written | dd of=/data/two 2>/dev/null && echo written"
    )
    status, said, _ = host.run(1, "sh", "-c", script, container="c1")
    assert status == 0
    assert said == (
        b"block special file:640:3:6\nblock special file:600:0:0\n"
        + root.read_bytes()[1078:1080] + b"refused\nwritten\n"
    )  # fmt: skip
    host.ask("remove", container="c1")
    assert (box.root / "data/two").read_bytes() == b""  # a place, and no node that stays
    with open(other, "rb") as file:
        assert file.read(7) == b"written"


@pytest.mark.parametrize(
    ("device", "why"), [("/dev/null", errno.ENOTBLK), ("/dev/no-such-disk", errno.ENOENT)]
)
def test_what_is_no_block_device_is_refused(host, box, device, why):
    with pytest.raises(Refused) as refused:
        box.container(host, "c1", devices=[{"path": "/dev/one", "device": device, "mode": 0o600}])
    assert (refused.value.errno, refused.value.step, refused.value.object) == (why, "device", "/dev/one")
