"""`firkin snapshot` without machines: rows, the tree, filters, and what cannot be read."""

from __future__ import annotations

import json

import pytest

from firkin.cli.main import invoke
from firkin.cli.snapshot_row import snapshot_row
from firkin.cli.snapshot_tree import tree
from firkin.container import record as containers
from firkin.container.disk import DiskRecord
from firkin.container.naming import new_id
from firkin.container.spec import ContainerSpec
from firkin.engine.snapshot_summary import SnapshotSummary
from firkin.process.spec import ProcessSpec
from firkin.snapshot import record
from firkin.snapshot.record import Snapshot

S = 10**9


def draft(name="", *, container="web", created_ns=1, parent="", layers=(), digit="a"):
    spec = ContainerSpec(
        id=digit * 64,
        name=container,
        image="busybox",
        image_digest="sha256:" + "0" * 64,
        rootfs_key="k",
        process=ProcessSpec(args=("sh",)),
        created_ns=1,
        hostname="h",
    )
    return Snapshot(
        id=new_id(),
        name=name,
        created_ns=created_ns,
        container=spec.id,
        container_name=container,
        spec=spec,
        layers=layers,
        parent=parent,
    )


def make(settings, name, **more):
    with record.making(settings.paths) as making:
        return making.commit(draft(**more), name=name)


def test_a_row_has_sizes_for_people_and_short_ids():
    found = SnapshotSummary(draft("one", created_ns=10 * S), 0, 3 << 20)
    row = snapshot_row(found, shorten=True, now_ns=70 * S)
    assert (row["Name"], row["ID"], row["Container"]) == ("one", found.snapshot.id[:12], "web")
    assert (row["CreatedSince"], row["Memory"], row["Disk"], row["Kind"]) == (
        "About a minute ago",
        "-",
        "3.15MB",
        "disk",
    )


def test_the_tree_has_branches_containers_and_what_lost_its_parent():
    one = draft("one", created_ns=1)
    two = draft("two", created_ns=2, parent=one.id)
    three = draft("three", created_ns=4, parent=one.id)
    four = draft("four", created_ns=3, parent=two.id)
    stray = draft("stray", created_ns=5, parent="f" * 64)
    standing = {one.id: ["web"], four.id: ["api", "db"], "f" * 64: ["lost"]}
    assert list(tree([stray, three, four, two, one], standing)) == [
        "one",
        "├── [web]",
        "├── two",
        "│   └── four",
        "│       ├── [api]",
        "│       └── [db]",
        "└── three",
        "stray",
    ]


def test_snapshots_are_listed_by_container_and_as_the_format_says(settings, capsys):
    make(settings, "one", digit="a")
    two = make(settings, "two", container="db", digit="b", created_ns=2)
    assert invoke(["snapshot", "ls", "--format", "{{.Name}} {{.Container}}"]) == 0
    assert capsys.readouterr().out == "two db\none web\n"
    for which in ("container=db", f"container={'b' * 64}", "container=bbb"):
        assert invoke(["snapshot", "ls", "-q", "--no-trunc", "-f", which]) == 0
        assert capsys.readouterr().out == f"{two.id}\n"
    assert invoke(["snapshot", "ls", "-f", "name=two"]) == 125
    assert "there is no filter 'name=two'" in capsys.readouterr().err
    assert invoke(["snapshot", "ls"]) == 0
    headings = capsys.readouterr().out.splitlines()[0].split()
    assert headings == ["NAME", "SNAPSHOT", "ID", "CONTAINER", "CREATED", "MEMORY", "DISK", "KIND"]


def test_what_is_known_of_one_names_who_stands_on_it(settings, capsys):
    one = make(settings, "one")
    make(settings, "two", parent=one.id)
    spec = draft().spec
    kid = ContainerSpec(**{each: getattr(spec, each) for each in spec.__struct_fields__} | {
        "id": "c" * 64, "name": "kid", "snapshot": one.id,
    })  # fmt: skip
    _, lock = containers.create(settings.paths, kid, DiskRecord(parent=one.id))
    lock.close()
    assert invoke(["snapshot", "inspect", "one", "nosuch"]) == 125
    said = capsys.readouterr()
    (facts,) = json.loads(said.out)
    assert (facts["Id"], facts["Kind"], facts["Machine"]) == (one.id, "disk", None)
    assert (facts["Containers"], facts["Children"]) == (["kid"], ["two"])
    assert "no such snapshot: 'nosuch'" in said.err
    assert invoke(["snapshot", "tree"]) == 0
    assert capsys.readouterr().out == "one\n├── [kid]\n└── two\n"


def test_one_that_cannot_be_read_hides_no_other_and_says_how_it_goes(settings, capsys):
    broken = make(settings, "broken")
    make(settings, "fine")
    (settings.paths.snapshot_dir(broken.id) / "snapshot.json").write_bytes(b"{")
    for words in (["ls", "-q"], ["tree"]):
        assert invoke(["snapshot", *words]) == 125
        said = capsys.readouterr()
        assert len(said.out.splitlines()) == 1
        assert f"firkin snapshot rm -f {broken.id[:12]}" in said.err
    assert invoke(["snapshot", "rm", "broken"]) == 125
    assert invoke(["snapshot", "rm", "-f", broken.id[:12]]) == 0
    assert invoke(["snapshot", "ls", "--format", "{{.Name}}"]) == 0
    assert capsys.readouterr().out.endswith("fine\n")


@pytest.mark.parametrize(
    "words",
    [["create", "nosuch"], ["rollback", "nosuch", "x"], ["restore", "nosuch"], ["inspect", "nosuch"]],
)
def test_what_is_not_there_is_said(words, capsys):
    assert invoke(["snapshot", *words]) == 125
    assert "no such" in capsys.readouterr().err
