"""Snapshots of disks without machines: what is asked of the guest in which order, and what failures leave."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from firkin.container import layers, record
from firkin.container.disk import DiskRecord
from firkin.container.naming import new_id
from firkin.container.record import Created, Exited, Running, Streams, Suspended
from firkin.container.spec import ContainerSpec
from firkin.engine import disk_snapshots, snapshot_use
from firkin.engine.heir import Wishes, record_heir
from firkin.engine.image_use import image_uses
from firkin.engine.tidy import tidy_all
from firkin.errors import (
    AgentError,
    Corrupt,
    InUse,
    NameInUse,
    SnapshotNotFound,
    Timeout,
    UsageError,
    WrongState,
)
from firkin.process.spec import ExitStatus, ProcessSpec
from firkin.snapshot import record as snapshots
from tests.support.kills import survives

MIB = 1 << 20
KEY = "a" * 64 + "-1-1"
RUNNING = Running(pid=1, started_ns=1, accelerator="tcg")
EXITED = Exited(status=ExitStatus(code=0), started_ns=1, finished_ns=2)
SUSPENDED = Suspended(suspended_ns=2, started_ns=1, detached=True, proc=1, ahead=Streams())


@pytest.fixture
def paths(settings):
    image = layers.image_path(settings.paths, KEY)
    image.parent.mkdir(parents=True)
    image.write_bytes(b"\x01" * MIB)
    return settings.paths


def spec(name="box", **more):
    container_id = new_id()
    return ContainerSpec(
        id=container_id,
        name=name,
        image="busybox",
        image_digest="sha256:" + "0" * 64,
        rootfs_key=more.pop("rootfs_key", KEY),
        process=ProcessSpec(args=("true",), env=("A=1", f"HOSTNAME={container_id[:12]}")),
        created_ns=1,
        hostname=more.pop("hostname", container_id[:12]),
        disk_bytes=16 * MIB,
        **more,
    )


def made(paths, *, state=EXITED, value=None, **more):
    found, lock = record.create(paths, spec(**more))
    layers.ready(found)
    if value is not None:
        write(found, value)
    if isinstance(state, Running | Exited):
        found.set_running(RUNNING)
    if isinstance(state, Exited):
        found.set_exited(state)
    lock.close()
    return found


def write(box, value):
    subprocess.run(
        ["qemu-io", "-c", f"write -P {value} 0 64k", box.disk_path], check=True, capture_output=True
    )


def holds(box, value):
    words = ["qemu-io", "-c", f"read -P {value} 0 64k", box.disk_path]
    return "failed" not in subprocess.run(words, check=True, capture_output=True, text=True).stdout


def heir_of(paths, snapshot, **wishes):
    found, lock = record_heir(paths, snapshots.find(paths, snapshot), Wishes(**wishes))
    lock.close()
    return found


class Guest:
    """Stands for a running machine and its agent: notes what is asked of it, and fails where told to."""

    name = "box"

    def __init__(self, box, failing=()):
        self.box = box
        self.asked = []
        self.machine = self.client = self.vm = self
        self.failing = dict(failing)

    async def request(self, op):
        self.note(type(op).__name__)

    async def monitor(self):
        self.note("monitor")

    async def switch_overlay(self, path):
        assert path == self.box.disk_path
        assert snapshots.snapshots(self.box.paths) == []
        self.note("switch")

    def note(self, what):
        self.asked.append(what)
        if what in self.failing:
            raise self.failing[what]


async def test_the_guest_holds_its_writes_while_it_is_switched(paths):
    box = made(paths, state=RUNNING, value=7)
    with box.hold_alive():
        guest = Guest(box)
        snapshot = await disk_snapshots.take(box, guest, "one")
    assert guest.asked == ["monitor", "Freeze", "switch", "Thaw"]
    assert snapshots.find(paths, "one") == snapshot
    assert snapshot.layers == box.disk().layers
    assert (snapshot.container, snapshot.container_name, snapshot.machine) == (box.id, "box", None)
    assert box.disk().parent == snapshot.id
    assert holds(box, 7)


@pytest.mark.parametrize(
    ("step", "error"),
    [("Freeze", AgentError("no")), ("Freeze", Timeout("late")), ("switch", AgentError("no"))],
)
async def test_a_failure_lets_the_guest_go_on_and_makes_no_snapshot(paths, step, error):
    box = made(paths, state=RUNNING, value=7)
    with box.hold_alive():
        guest = Guest(box, {step: error})
        with pytest.raises(type(error)):
            await disk_snapshots.take(box, guest, "one")
        assert guest.asked[-1] == "Thaw"
        assert snapshots.snapshots(paths) == []
        assert holds(box, 7)
        again = await disk_snapshots.take(box, Guest(box), "one")
    assert len(again.layers) == 2


async def test_a_bad_or_taken_name_is_refused_before_anything_is_done(paths):
    box = made(paths, value=7)
    await disk_snapshots.take_of_ended(box, "one")
    before = box.disk()
    with pytest.raises(NameInUse):
        await disk_snapshots.take_of_ended(box, "one")
    with pytest.raises(UsageError):
        await disk_snapshots.take_of_ended(box, "../one")
    assert box.disk() == before


async def test_each_snapshot_of_a_container_stands_on_the_one_before(paths):
    box = made(paths, value=5)
    one = await disk_snapshots.take_of_ended(box)
    write(box, 6)
    two = await disk_snapshots.take_of_ended(box)
    assert [one.name, two.name] == ["box-1", "box-2"]
    assert (one.parent, two.parent) == ("", one.id)
    assert two.layers[1:] == one.layers
    snapshots.remove(paths, two.id, two.name)
    assert (await disk_snapshots.take_of_ended(box)).parent == ""


@pytest.mark.parametrize("state", [RUNNING, Created()])
async def test_only_an_ended_container_is_touched_on_disk(paths, state):
    box = made(paths, state=state, value=7)
    with box.hold_alive(), pytest.raises(WrongState):
        await disk_snapshots.take_of_ended(box)
    other = made(paths, name="other")
    one = await disk_snapshots.take_of_ended(other)
    with box.hold_alive(), pytest.raises(WrongState):
        await disk_snapshots.roll_back(box, one.name)
    assert box.disk() == DiskRecord()


async def test_a_suspended_container_is_refused_with_the_way_to_wake_it(paths):
    box, other = made(paths, state=RUNNING, value=7), made(paths, name="other")
    box.set_suspended(SUSPENDED)
    await disk_snapshots.take_of_ended(other, "theirs")
    for refused in (disk_snapshots.take_of_ended(box), disk_snapshots.roll_back(box, "theirs")):
        with pytest.raises(WrongState, match="'box' is suspended") as caught:
            await refused
        assert caught.value.hint == "`firkin resume box`"
    assert (box.disk(), box.state()) == (DiskRecord(), SUSPENDED)


async def test_a_snapshot_waits_for_the_machine_that_still_writes_down(paths):
    box = made(paths, value=7)
    lock = box.own()
    taking = asyncio.create_task(disk_snapshots.take_of_ended(box, "one"))
    await asyncio.sleep(0)
    assert not taking.done()
    lock.close()
    assert (await taking).name == "one"


async def test_a_way_back_keeps_the_present_unless_it_is_given_up(paths):
    box = made(paths, value=5)
    one = await disk_snapshots.take_of_ended(box, "one")
    write(box, 6)
    kept = await disk_snapshots.roll_back(box, "one")
    assert holds(box, 5)
    assert (kept.parent, box.disk().parent) == (one.id, one.id)
    assert await disk_snapshots.roll_back(box, kept.name, discard=True) is None
    assert holds(box, 6)
    write(box, 7)
    await disk_snapshots.roll_back(box, "one", discard=True)
    assert holds(box, 5)
    assert {each.name for each in snapshots.snapshots(paths)} == {"one", kept.name}


async def test_a_disk_of_another_image_is_no_way_back(paths):
    other = "b" * 64 + "-1-1"
    image = layers.image_path(paths, other)
    image.parent.mkdir()
    image.write_bytes(b"\x02" * MIB)
    await disk_snapshots.take_of_ended(made(paths, name="other", rootfs_key=other), "theirs")
    box = made(paths, value=7)
    with pytest.raises(UsageError, match=r"theirs.*on .* bytes of disk"):
        await disk_snapshots.roll_back(box, "theirs")
    assert holds(box, 7)


async def test_who_starts_from_a_snapshot_is_somebody_else(paths):
    parent = made(paths, value=7, auto_remove=False)
    snapshot = await disk_snapshots.take_of_ended(parent, "one")
    child = heir_of(paths, "one")
    is_now, was = child.spec(), parent.spec()
    assert is_now.snapshot == snapshot.id == child.disk().parent
    assert is_now.hostname == is_now.id[:12] != was.hostname
    assert is_now.process.env == ("A=1", f"HOSTNAME={is_now.id[:12]}")
    assert is_now.detached
    layers.ready(child)
    assert holds(child, 7)
    write(child, 8)
    assert holds(parent, 7)
    named = made(paths, name="named", hostname="mine")
    await disk_snapshots.take_of_ended(named, "two")
    assert heir_of(paths, "two", name="kid").spec().hostname == "mine"
    with pytest.raises(NameInUse):
        heir_of(paths, "two", name="kid")
    assert heir_of(paths, "two", hostname="yours").spec().hostname == "yours"


async def test_what_others_stand_on_goes_only_by_force_and_leaves_them_what_they_need(paths):
    box = made(paths, value=5)
    one = await disk_snapshots.take_of_ended(box, "one")
    write(box, 6)
    two = await disk_snapshots.take_of_ended(box, "two")
    write(box, 7)
    three = await disk_snapshots.take_of_ended(box, "three")
    kid = heir_of(paths, "two", name="kid")
    with pytest.raises(InUse, match="container kid, snapshot three"):
        snapshot_use.remove(paths, "two")
    assert snapshot_use.remove(paths, "two", force=True) == "two"
    with pytest.raises(SnapshotNotFound):
        snapshots.find(paths, "two")
    assert snapshots.find(paths, "three").parent == one.id
    assert snapshot_use.sweep_layers(paths) == 0
    layers.ready(kid)
    assert holds(kid, 6)
    snapshot_use.remove(paths, three.id[:12])
    snapshot_use.remove(paths, "one")
    box.remove()
    assert snapshot_use.sweep_layers(paths) > 0
    assert {each.stem for each in paths.disks_dir.iterdir()} == set(two.layers)
    assert holds(kid, 6)


async def test_of_several_those_made_upon_others_go_first_however_they_are_called(paths):
    box = made(paths, value=5)
    one, two, three = [await disk_snapshots.take_of_ended(box, name) for name in ("one", "two", "three")]
    (
        paths.snapshot_dir((await disk_snapshots.take_of_ended(made(paths, name="other"), "bad")).id)
        / "snapshot.json"
    ).write_bytes(b"{")
    order = snapshot_use.children_first(paths, ["bad", "one", three.id[:12], "nobody", two.id])
    assert order == [three.id[:12], two.id, "one", "bad", "nobody"]
    for text in order[:3]:
        snapshot_use.remove(paths, text)
    with pytest.raises(SnapshotNotFound):
        snapshots.load(paths, one.id)


async def test_one_that_cannot_be_read_goes_by_force_and_keeps_the_sweep_away_until_then(paths):
    box = made(paths, value=5)
    one = await disk_snapshots.take_of_ended(box, "one")
    await disk_snapshots.take_of_ended(box, "two")
    (paths.snapshot_dir(one.id) / "snapshot.json").write_bytes(b"{")
    with pytest.raises(Corrupt):
        snapshot_use.remove(paths, "one")
    with pytest.raises(Corrupt):
        image_uses(paths)
    box.remove()
    snapshot_use.remove(paths, "two")
    assert snapshot_use.sweep_layers(paths) == 0
    snapshot_use.remove(paths, "one", force=True)
    assert snapshot_use.sweep_layers(paths) > 0
    assert image_uses(paths) == []


async def test_a_snapshot_keeps_its_image(paths):
    box = made(paths, value=5)
    await disk_snapshots.take_of_ended(box, "one")
    box.remove()
    (use,) = image_uses(paths)
    assert (use.user, use.removal, use.rootfs_key) == ("the snapshot one", "firkin snapshot rm one", KEY)


@pytest.mark.slow
@pytest.mark.parametrize("work", ["running", "ended", "rollback"])
def test_a_kill_at_any_line_leaves_a_disk_that_reads_the_same_and_whole_snapshots(paths, work):
    line, survived = 0, False
    while not survived:
        line += 7  # each line of the disk's and the record's own code has its test there
        box = made(paths, name=f"box{line}", state=RUNNING if work == "running" else EXITED, value=7)
        alive = box.hold_alive() if work == "running" else None
        if work == "rollback":
            asyncio.run(disk_snapshots.take_of_ended(box, "early"))
        survived = survives(line, lambda box=box: asyncio.run(WORK[work](box)))
        if alive is not None:
            alive.close()
        tidy_all(paths)
        assert holds(box, 7)
        for each in snapshots.snapshots(paths):
            assert set(each.layers) <= {path.stem for path in paths.disks_dir.iterdir()}
            snapshot_use.remove(paths, each.name, force=True)
        box.remove()
        snapshot_use.sweep_layers(paths)
        assert list(paths.disks_dir.glob("*")) == []
    assert line > 100


WORK = {
    "running": lambda box: disk_snapshots.take(box, Guest(box), "one"),
    "ended": lambda box: disk_snapshots.take_of_ended(box, "one"),
    "rollback": lambda box: disk_snapshots.roll_back(box, "early"),
}
