"""Layers: what was written is never lost, whoever dies where. QEMU's tools write and read the disks."""

from __future__ import annotations

import json
import subprocess

import pytest

from firkin.container import layers, record
from firkin.container.disk import DiskRecord
from firkin.container.naming import new_id
from firkin.container.spec import ContainerSpec
from firkin.errors import Corrupt, InUse, UsageError
from firkin.paths import Paths
from firkin.process.spec import ProcessSpec
from firkin.store.lock import locked
from tests.support.kills import survives

MIB = 1 << 20
KEY = "a" * 64 + "-1-1"


@pytest.fixture
def paths(tmp_path):
    paths = Paths(tmp_path / "data", tmp_path / "run")
    image = layers.image_path(paths, KEY)
    image.parent.mkdir(parents=True)
    image.write_bytes(b"\x01" * MIB)
    return paths


@pytest.fixture
def box(paths):
    made, lock = record.create(paths, spec())
    with lock:
        layers.ready(made)
        yield made


def spec(**more):
    return ContainerSpec(
        id=new_id(),
        name=more.pop("name", "box"),
        image="busybox",
        image_digest="sha256:" + "0" * 64,
        rootfs_key=KEY,
        process=ProcessSpec(args=("true",)),
        created_ns=1,
        hostname="h",
        disk_bytes=16 * MIB,
        **more,
    )


def qemu_io(path, *steps):
    words = [word for step in steps for word in ("-c", step)]
    return subprocess.run(["qemu-io", *words, path], check=True, capture_output=True, text=True).stdout


def write(box, value, at="0"):
    qemu_io(box.disk_path, f"write -P {value} {at} 64k")


def holds(path, value, at="0"):
    return "Pattern verification failed" not in qemu_io(path, f"read -P {value} {at} 64k")


def chain(box):
    """The files of the disk as its own headers name them, the top first."""
    words = ["qemu-img", "info", "--backing-chain", "--output=json", box.disk_path]
    return [each["filename"] for each in json.loads(subprocess.check_output(words))]


def backing(top):
    """The file that `top` says it stands on: the last thing in its first cluster."""
    with open(top, "rb") as file:
        return file.read(1 << 16).rstrip(b"\0").rpartition(b"\0")[2].decode()


def as_recorded(box):
    disk = layers.ready(box)
    return [str(path) for path in (disk.path, *disk.layers, disk.backing)]


def test_a_frozen_disk_reads_the_same_and_is_never_written_again(paths, box):
    write(box, 7)
    (layer,) = layers.freeze(box).layers
    path = paths.layer_path(layer)
    assert path.stat().st_mode & 0o777 == 0o400
    before = path.read_bytes()
    assert holds(box.disk_path, 7)
    assert holds(box.disk_path, 1, "512k")
    write(box, 8)
    write(box, 9, "512k")
    assert holds(box.disk_path, 8)
    assert holds(box.disk_path, 9, "512k")
    assert path.read_bytes() == before
    assert path.stat().st_nlink == 1
    assert chain(box) == as_recorded(box)


def test_layers_pile_up_and_a_reset_goes_back_to_any_of_them(paths, box):
    piles = [()]
    for value in (5, 6, 7):
        write(box, value)
        piles.append(layers.freeze(box).layers)
    assert [len(pile) for pile in piles] == [0, 1, 2, 3]
    write(box, 8)
    for pile, value in zip(reversed(piles), (7, 6, 5, 1), strict=True):
        disk = layers.reset(box, pile, "")
        assert (disk.layers, box.disk().layers) == (pile, pile)
        assert holds(box.disk_path, value)
        assert chain(box) == as_recorded(box)
    assert len(list(box.dir.glob("disk*.qcow2"))) == 1


def test_a_disk_that_nothing_was_written_to_gets_no_layer(paths, box):
    assert layers.freeze(box).layers == ()
    write(box, 7)
    frozen = layers.freeze(box)
    assert layers.freeze(box) == frozen


def test_a_running_machines_disk_is_frozen_even_if_it_looks_empty(paths, box):
    with box.hold_alive():
        assert len(layers.freeze(box).layers) == 1


def test_two_containers_share_a_layer_and_write_apart(paths, box):
    write(box, 7)
    disk = layers.freeze(box)
    other, lock = record.create(paths, spec(name="other"), DiskRecord(layers=disk.layers))
    with lock:
        layers.ready(other)
        write(other, 8)
    assert holds(other.disk_path, 8)
    assert holds(box.disk_path, 7)


def test_the_sweep_takes_what_nobody_lists_and_nothing_else(paths, box):
    write(box, 7)
    ours = layers.freeze(box).layers
    other, lock = record.create(paths, spec(name="other"), DiskRecord(layers=ours))
    lock.close()
    box.remove()
    snapshots = "b" * 64
    for name in (snapshots, "c" * 64):
        paths.layer_path(name).write_bytes(b"x" * 8192)
    assert layers.sweep(paths, lambda: {snapshots}) == 8192
    assert {path.stem for path in paths.disks_dir.iterdir()} == {*ours, snapshots}
    assert layers.ready(other).layers == tuple(map(paths.layer_path, ours))
    other.remove()
    assert layers.sweep(paths, set) > 8192
    assert list(paths.disks_dir.iterdir()) == []


def test_nothing_is_swept_while_somebody_adds_or_a_record_cannot_be_read(paths, box):
    write(box, 7)
    (layer,) = layers.freeze(box).layers
    with locked(paths.lock_path, shared=True, deadline_s=1, what=""), pytest.raises(InUse):
        layers.sweep(paths, set, deadline_s=0)
    (box.dir / "disk.json").write_text('{"layers": ["../../etc"]}')
    with pytest.raises(Corrupt):
        layers.sweep(paths, set)
    assert paths.layer_path(layer).exists()


def test_a_missing_layer_is_named(paths, box):
    write(box, 7)
    (layer,) = layers.freeze(box).layers
    paths.layer_path(layer).unlink()
    with pytest.raises(Corrupt, match=layer):
        layers.ready(box)


def test_there_is_an_end_to_layers(paths, box, monkeypatch):
    monkeypatch.setattr(layers, "MAX_LAYERS", 2)
    for value in (5, 6):
        write(box, value)
        layers.freeze(box)
    write(box, 7)
    with pytest.raises(UsageError, match="2 layers"):
        layers.freeze(box)
    assert holds(box.disk_path, 7)


@pytest.mark.slow
@pytest.mark.parametrize("work", ["freeze", "reset", "ready"])
def test_a_kill_at_any_line_loses_nothing_and_leaves_nothing_for_long(paths, box, work):
    """The work is done in a child that is killed before its first line, then before its second, ..."""
    write(box, 6)
    written = box.disk_path.read_bytes()
    line, survived = 0, False
    while not survived:
        line += 1
        made, lock = record.create(paths, spec(name=f"box{line}"))
        if work != "ready":
            made.disk_path.write_bytes(written)
        survived = survives(line, lambda made=made: WORK[work](made))
        judge(made, work)
        lock.close()
        made.remove()
        layers.sweep(paths, set)
        assert list(paths.disks_dir.glob("*")) == []
    assert line > {"freeze": 40, "reset": 25, "ready": 15}[work]


WORK = {
    "freeze": layers.freeze,
    "reset": lambda box: layers.reset(box, (), ""),
    "ready": layers.ready,
}


def judge(box, work):
    recorded = as_recorded(box)
    assert backing(recorded[0]) == recorded[1]
    kept = work == "freeze" or (work == "reset" and box.disk() == DiskRecord())
    assert holds(box.disk_path, 6 if kept else 1)
    layers.reset(box, (), "")
    assert len(list(box.dir.glob("disk*.qcow2"))) == 1
