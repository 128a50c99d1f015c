"""What is said of a root file system that is no image's, and what cannot be together with it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from firkin.container.layers import freeze, ready
from firkin.engine import root_rules, rules
from firkin.engine.batch import container_op
from firkin.engine.begin import put_file_on_record
from firkin.engine.shape import machine_spec
from firkin.engine.storage import make_ready
from firkin.engine.words import run_options
from firkin.errors import InUse, UsageError
from firkin.machine.held_disk import hold
from firkin.network.guest import guest_network
from firkin.settings import Settings
from firkin.wire import messages as wire
from firkin.wire.messages import encode_control, op_map
from tests.support import file_systems
from tests.support.ext4 import DEBUGFS, assert_clean


def options(image: str, command: tuple[str, ...] = ("sh",), **words: object):
    return run_options(image, command, rootfs=True, **words)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "path", "writable"),
    [
        ("/disk.ext4", "/disk.ext4", False),
        ("/disk.ext4:rw", "/disk.ext4", True),
        ("/disk.ext4:O", "/disk.ext4", False),
        ("/a:b", "/a:b", False),
    ],
)
def test_a_root_is_only_read_unless_it_is_said(word: str, path: str, writable: bool) -> None:
    file = options(word).root.file
    assert file is not None
    assert (file.path, file.writable) == (path, writable)


def test_a_path_is_the_callers_and_links_are_followed_when_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("disk")
    file = options("link").root.file
    assert file is not None
    assert file.path == str(tmp_path / "disk")


@pytest.mark.parametrize("word", [":rw", "/disk\0", "/" + "x" * 4096])
def test_what_is_no_path_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="is not a path"):
        options(word)


@pytest.mark.parametrize(
    ("word", "command", "words", "reason"),
    [
        ("/disk", (), {}, "no command to run"),
        ("/disk", ("sh",), {"pull": "always"}, "no image to pull"),
        ("/disk", ("sh",), {"platform": "linux/amd64"}, "no image to pull"),
        ("/disk:rw", ("sh",), {"disk": "1g"}, "written in place"),
    ],
)
def test_what_contradicts_is_refused_before_anything_is_looked_at(
    word: str, command: tuple[str, ...], words: dict[str, object], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        rules.check(options(word, command, **words))


@pytest.mark.parametrize("word", ["48m", 48 << 20])
def test_a_writable_layer_of_a_size_is_the_containers_own(word: str | int) -> None:
    layer = run_options("box", writable_layer=word).root.layer
    assert layer is not None
    assert (layer.size_bytes, layer.file) == (48 << 20, None)


def test_a_writable_layer_with_a_path_is_a_file_that_is_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("layer")
    root = run_options("box", writable_layer=f"{tmp_path}/link").root
    assert root.layer is not None
    assert root.layer.file is not None
    assert (root.layer.file.path, root.layer.file.writable) == (f"{tmp_path}/layer", True)
    assert root.layer.file.called == f"writable layer {tmp_path}/layer"
    assert root.in_place is root.layer.file


@pytest.mark.parametrize(
    ("image", "words", "reason"),
    [
        ("box", {"writable_layer": "much"}, "neither a size nor a path"),
        ("box", {"writable_layer": "./a\0b"}, "not a path"),
        ("box", {"writable_layer": "1m"}, "out of range"),
        ("box", {"writable_layer": "1g", "disk": "1g"}, "disk: what is written goes to the writable layer"),
        ("box", {"writable_layer": "1g", "read_only": True}, "writable_layer: read_only"),
        ("/disk:rw", {"writable_layer": "1g", "rootfs": True}, "writable_layer: the root file system"),
    ],
)
def test_a_layer_that_cannot_be_is_refused_before_anything_is_looked_at(
    image: str, words: dict[str, object], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        rules.check(run_options(image, ["sh"], **words))  # type: ignore[arg-type]


@pytest.fixture
def ext4(tmp_path: Path) -> Path:
    return file_systems.make(tmp_path / "disk.ext4")


def test_a_layer_is_refused_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(1 << 20))
    for place, reason in (("zeros", "has no ext4"), ("missing", "does not exist"), (".", "is a directory")):
        root = run_options("box", writable_layer=f"{tmp_path}/{place}").root
        with pytest.raises(UsageError, match=f"writable_layer: {tmp_path}.*{reason}"):
            root_rules.found(root)


def test_a_root_whose_journal_is_to_be_replayed_cannot_be_under_a_layer(ext4: Path) -> None:
    root = run_options(str(ext4), ["sh"], rootfs=True, writable_layer="1g").root
    assert root_rules.found(root).file is not None
    flag = ["-w", "-R", "feature needs_recovery", str(ext4)]
    subprocess.run([DEBUGFS, *flag], check=True, capture_output=True)
    with pytest.raises(UsageError, match="was not unmounted"):
        root_rules.found(root)
    assert root_rules.found(run_options(str(ext4), ["sh"], rootfs=True).root).file is not None


def test_the_roots_disk_is_only_read_and_the_layer_stands_behind_it(settings: Settings, ext4: Path) -> None:
    options = run_options(str(ext4), ["sh"], rootfs=True, writable_layer="32m", devices=[f"{ext4}x:/dev/x"])
    ext4.with_name("disk.ext4x").write_bytes(bytes(512))
    record, lock = put_file_on_record(options, settings, detached=False)
    with lock:
        spec = record.spec()
        make_ready(record, spec)
        disks = machine_spec(spec, ready(record), settings).disks
        assert [each.path for each in disks] == [ext4, record.dir / "layer.ext4", Path(f"{ext4}x")]
        assert [each.readonly for each in disks] == [True, False, False]
        assert_clean(disks[1].path)
        assert disks[1].path.stat().st_size == 32 << 20
        held = [hold(disks[0]), hold(disks[0])]  # any number may read
        with pytest.raises(InUse):
            hold(msgspec.structs.replace(disks[0], readonly=False))
        for fd in held:
            os.close(fd)
        op = container_op(spec, guest_network(spec.network, ()), frozenset())
        assert (op.root.device, op.root.upper) == ("/dev/vda", "/dev/vdb")
        assert not isinstance(op.devices, msgspec.UnsetType)
        assert (op.devices[0].path, op.devices[0].device, op.devices[0].readonly) == (
            "/dev/x",
            "/dev/vdc",
            False,
        )
        with pytest.raises(UsageError, match="writable layer"):
            freeze(record)


def test_a_plain_container_says_nothing_of_layers_and_devices_to_its_agent() -> None:
    told = op_map(wire.Container(container="c", root=wire.Root(device="/dev/vda"), hostname="h"))
    sent = msgspec.msgpack.decode(encode_control(told))
    assert "devices" not in sent
    assert "upper" not in sent["root"]
