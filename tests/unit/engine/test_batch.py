"""What a machine is told, as data."""

from pathlib import Path

import msgspec
import pytest

from firkin.container.spec import Bind, ContainerSpec, Tmpfs
from firkin.engine import batch, shape
from firkin.engine.spawn_op import spawn_op
from firkin.machine.spec import Share
from firkin.network.guest import GuestNetwork
from firkin.process.spec import ProcessSpec, TerminalSize
from firkin.wire import messages as wire

GUEST = GuestNetwork(cards=(), resolv_conf=b"nameserver 10.0.2.3\n", address="10.0.2.15")
SPEC = ContainerSpec(
    id="ab" * 32,
    name="n",
    image="i",
    image_digest="sha256:" + "0" * 64,
    rootfs_key="k",
    process=ProcessSpec(args=("a",), env=("A=1",), cwd="/w", user="web", groups=("7",)),
    created_ns=0,
    hostname="box",
)


def container(guest=None, single_files=frozenset(), **changes):
    return batch.container_op(msgspec.structs.replace(SPEC, **changes), guest or GUEST, single_files)


def test_a_container_finds_itself_and_its_name_servers():
    files = {file.path: file.data.decode() for file in container().files}
    assert files["/etc/hostname"] == "box\n"
    assert "10.0.2.15\tbox\n" in files["/etc/hosts"]
    assert "127.0.0.1\tlocalhost\n" in files["/etc/hosts"]
    assert files["/etc/resolv.conf"] == "nameserver 10.0.2.3\n"


def test_without_a_network_the_name_is_on_the_loopback():
    files = {
        file.path: file.data.decode() for file in container(msgspec.structs.replace(GUEST, address="")).files
    }
    assert "127.0.1.1\tbox\n" in files["/etc/hosts"]


def test_a_mount_over_one_of_our_files_wins():
    op = container(binds=(Bind(source="/h", target="/etc/hosts"),))
    assert "/etc/hosts" not in {file.path for file in op.files}


def test_parents_are_mounted_before_what_is_mounted_in_them():
    op = container(binds=(Bind(source="/h", target="/a/b"),), tmpfs=(Tmpfs(target="/a", options=("ro",)),))
    assert [(mount.type, mount.target) for mount in op.mounts] == [("tmpfs", "/a"), ("virtiofs", "/a/b")]
    assert op.mounts[0].options == ("ro",)


def test_a_single_file_is_mounted_by_its_name_in_the_share():
    bind = Bind(source="/etc/passwd", target="/p", readonly=True)
    (mount,) = container(None, frozenset({"/etc/passwd"}), binds=(bind,)).mounts
    assert mount.options == ("ro", "file=passwd")


def test_each_volume_is_a_share_of_its_own():
    spec = msgspec.structs.replace(
        SPEC, binds=(Bind(source="/a", target="/x", readonly=True), Bind(source="/b", target="/y"))
    )
    assert shape.shares(spec) == (
        Share(tag="bind0", source=Path("/a"), readonly=True),
        Share(tag="bind1", source=Path("/b")),
    )


def test_a_read_only_container_has_a_read_only_root():
    assert container(read_only=True).root.readonly
    assert not container().root.readonly


def test_the_process_is_asked_for_as_it_was_specified():
    spawn = spawn_op(SPEC.id, SPEC.process)
    assert (spawn.args, spawn.env, spawn.cwd, spawn.user, spawn.groups) == (
        ("a",),
        ("A=1",),
        "/w",
        "web",
        ("7",),
    )
    assert spawn.terminal is None
    process = msgspec.structs.replace(SPEC.process, terminal=TerminalSize(3, 4))
    assert spawn_op(SPEC.id, process).terminal == wire.Terminal(rows=3, cols=4)


def test_a_machine_first_hears_the_time_and_gets_randomness():
    clock, entropy = batch.prologue(1_700_000_000_123_456_789, b"s" * 256)
    assert clock == wire.Clock(sec=1_700_000_000, nsec=123_456_789)
    assert entropy == wire.Entropy(seed=b"s" * 256)


@pytest.mark.parametrize("path", ["/proc/kcore", "/sys/firmware", "/proc/keys"])
def test_what_tells_of_the_kernel_is_masked(path):
    assert path in container().masked
