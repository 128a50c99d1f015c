"""Snapshots on disk: whole or not there, found by what people call them, and refused where not understood."""

from __future__ import annotations

import json
import os

import msgspec
import pytest

from firkin.container import leftovers
from firkin.container.naming import new_id
from firkin.container.spec import ContainerSpec
from firkin.errors import Corrupt, HostUnsupported, NameInUse, SnapshotNotFound, UsageError
from firkin.paths import Paths
from firkin.process.spec import ProcessSpec
from firkin.snapshot import record
from firkin.snapshot.record import Snapshot
from tests.support.kills import survives


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path / "data", tmp_path / "run")


def draft(container_name="web", **more):
    spec = ContainerSpec(
        id=new_id(),
        name=container_name,
        image="busybox",
        image_digest="sha256:" + "0" * 64,
        rootfs_key="k",
        process=ProcessSpec(args=("true",)),
        created_ns=1,
        hostname="h",
    )
    layers = more.pop("layers", ("a" * 64,))
    created_ns = more.pop("created_ns", 1)
    return Snapshot(
        id=new_id(),
        name="",
        created_ns=created_ns,
        container=spec.id,
        container_name=container_name,
        spec=spec,
        layers=layers,
        **more,
    )


def make(paths, name="", **more):
    with record.making(paths) as making:
        return making.commit(draft(**more), name=name)


def test_a_snapshot_is_found_by_its_name_its_id_and_the_beginning_of_it(paths):
    made = make(paths, "before")
    for text in ("before", made.id, made.id[:12]):
        assert record.find(paths, text) == made
    for text in ("", "after", "../x", "f" * 64):
        with pytest.raises(SnapshotNotFound):
            record.find(paths, text)


def test_what_was_put_into_it_appears_with_it_and_goes_with_it(paths):
    with record.making(paths) as making:
        (making.dir / "memory").write_bytes(b"x" * 4096)
        made = making.commit(draft(), name="full")
    assert sorted(os.listdir(paths.snapshot_dir(made.id))) == ["memory", "snapshot.json"]
    record.remove(paths, made.id, made.name)
    assert os.listdir(paths.snapshots_dir) == []
    with pytest.raises(SnapshotNotFound):
        record.load(paths, made.id)
    assert make(paths, "full").name == "full"


def test_without_a_name_it_gets_the_containers_with_a_number(paths):
    names = [make(paths).name for _ in range(2)]
    record.remove(paths, record.find(paths, "web-1").id, "web-1")
    assert [*names, make(paths).name, make(paths).name] == ["web-1", "web-2", "web-1", "web-3"]
    long = make(paths, container_name="x" * 128).name
    assert (len(long), long[-2:]) == (128, "-1")


def test_a_name_is_given_once(paths):
    make(paths, "one")
    with pytest.raises(NameInUse, match="one"):
        make(paths, "one")
    with pytest.raises(UsageError):
        make(paths, "-x")
    assert len(record.snapshots(paths)) == 1
    assert leftovers.sweep(paths.snapshots_dir) == 0


def test_they_are_listed_with_the_newest_first(paths):
    made = [make(paths, created_ns=created_ns) for created_ns in (2, 3, 1)]
    assert record.snapshots(paths) == [made[1], made[0], made[2]]
    assert record.listed_layers(paths) == {"a" * 64}


def test_one_whose_maker_gives_up_was_never_there(paths):
    with pytest.raises(RuntimeError), record.making(paths):
        raise RuntimeError
    assert os.listdir(paths.snapshots_dir) == []


def test_a_newer_firkins_snapshot_is_refused_and_stays(paths):
    made = make(paths, "one")
    path = paths.snapshot_dir(made.id) / "snapshot.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "version": 2, "layers": {"new": "form"}}))
    with pytest.raises(HostUnsupported, match="format 2"):
        record.find(paths, "one")
    with pytest.raises(HostUnsupported):
        record.listed_layers(paths)


@pytest.mark.parametrize(
    "change",
    [
        {"layers": ["../../etc/passwd"]},
        {"id": "0" * 64},
        {"parent": ".."},
        {"container": 7},
        {"version": "1"},
    ],
)
def test_a_record_that_is_not_ours_is_refused(paths, change):
    made = make(paths, "one")
    path = paths.snapshot_dir(made.id) / "snapshot.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}))
    with pytest.raises(Corrupt):
        record.load(paths, made.id)


def test_one_that_is_cut_short_or_empty_is_refused_and_can_be_removed(paths):
    made = make(paths, "one")
    path = paths.snapshot_dir(made.id) / "snapshot.json"
    for content in (b"", path.read_bytes()[:-5]):
        path.write_bytes(content)
        with pytest.raises(Corrupt, match=r"snapshot\.json"):
            record.load(paths, made.id)
    path.unlink()
    with pytest.raises(Corrupt):
        record.load(paths, made.id)
    record.remove(paths, made.id)
    assert record.snapshots(paths) == []


def test_a_child_can_be_given_another_parent(paths):
    parent, child = make(paths), make(paths, parent="b" * 64)
    record.reparent(paths, child, parent.id)
    assert record.load(paths, child.id) == msgspec.structs.replace(child, parent=parent.id)


@pytest.mark.parametrize("work", ["make", "remove"])
def test_a_kill_at_any_line_leaves_a_whole_snapshot_or_none(paths, work):
    line, survived = 0, False
    while not survived:
        line += 1
        before = make(paths, "kept") if work == "remove" else None
        survived = survives(line, lambda before=before: WORK[work](paths, before))
        found = record.snapshots(paths)
        assert len(found) <= 1
        assert all(record.find(paths, each.name) == each for each in found)
        for each in paths.snapshots_dir.glob(".*.new"):
            os.utime(each, (0, 0))  # one that has no lock yet would be given a minute
        leftovers.sweep(paths.snapshots_dir)
        assert {path.name for path in paths.snapshots_dir.glob("*")} == {each.id for each in found}
        for each in found:
            record.remove(paths, each.id, each.name)
        record.remove(paths, make(paths, "kept").id, "kept")
    assert line > {"make": 60, "remove": 15}[work]


WORK = {
    "make": lambda paths, _: make(paths, "kept"),
    "remove": lambda paths, made: record.remove(paths, made.id, made.name),
}
