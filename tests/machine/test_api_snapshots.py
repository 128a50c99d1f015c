"""Snapshots from Python: a container is kept, forked, gone back to and started again by a program."""

from __future__ import annotations

import pytest

import firkin
from firkin.pytest.home import Home

pytestmark = pytest.mark.machine

READ = ["cat", "/file"]


def text(box: firkin.Container, command: list[str]) -> str:
    said: str = box.exec(command).output(text=True, check=True).stdout
    return said


def write(box: firkin.Container, word: str) -> None:
    box.exec(["sh", "-c", f"echo {word} > /file"]).output(check=True)


def test_a_container_is_kept_forked_and_restored(stocked: Home) -> None:
    with firkin.Engine() as engine, engine.run("busybox", ["sleep", "1000"], name="box") as box:
        write(box, "one")
        disk, full = box.snapshot(disk_only=True), box.snapshot("full")
        assert (disk.name, disk.container, disk.has_memory, full.has_memory) == ("box-1", "box", False, True)
        write(box, "two")
        (fork,) = box.fork()
        with fork, full.restore(hostname="boat") as restored, disk.restore() as anew:
            assert [text(each, READ) for each in (fork, restored, anew)] == ["two\n", "one\n", "one\n"]
            assert text(restored, ["hostname"]) == "boat\n"
            with pytest.raises(firkin.InUse, match=anew.name):
                disk.remove()
        assert [each.name for each in engine.snapshots()] == ["full", "box-1"]
        assert full.inspect()["Parent"] == disk.id == engine.snapshot("box-1").id
        with pytest.raises(firkin.InUse, match="full"):
            disk.remove()
        full.remove()
        disk.remove()
        with pytest.raises(firkin.SnapshotNotFound):
            engine.snapshot("full")


def test_a_container_of_this_program_goes_back_and_starts_again(stocked: Home) -> None:
    words = {"name": "box", "auto_remove": False}
    with firkin.Engine() as engine:
        box = engine.run("busybox", ["sh", "-c", "cat /file; exec sleep 1000"], **words)
        write(box, "one")
        kept = box.snapshot("kept", disk_only=True)
        write(box, "two")
        with pytest.raises(firkin.WrongState, match="is running"):
            box.roll_back("kept")
        assert text(box, READ) == "two\n"
        lost = box.roll_back("kept", force=True)
        assert lost is not None
        assert text(box, READ) == "one\n"
        box.stop(0)
        assert box.roll_back(lost.id, discard=True) is None
        box.start()
        box.start()
        assert text(box, READ) == "two\n"
        process = box.attach()
        assert process.stdout.readline() == b"two\n"
        process.stdout.close()
        box.remove(force=True)
        for each in (lost, kept):
            each.remove()
        assert engine.snapshots() == []
