"""What dead owners left: put on record or removed, and nobody who lives is disturbed."""

import os
import time

import msgspec
import pytest

from firkin.container.record import LOST, Created, Exited, Running, create
from firkin.container.spec import ContainerSpec
from firkin.engine.summaries import summaries
from firkin.engine.tidy import HANDOVER_NS, tidy_all, tidy_running
from firkin.process.spec import ExitStatus, ProcessSpec

LONG_AGO_NS = time.time_ns() - 2 * HANDOVER_NS
RUNNING = Running(pid=1, started_ns=1, accelerator="tcg")


@pytest.fixture
def paths(settings):
    return settings.paths


@pytest.fixture
def left(paths):
    """Make a record as a dead owner leaves it: its locks are free, its run directory is there."""

    def leave(name, *, state=RUNNING, created_ns=LONG_AGO_NS, keep_lock=False, kept=False, **words):
        spec = ContainerSpec(
            id=os.urandom(32).hex(),
            name=name,
            image="i",
            image_digest="sha256:" + "0" * 64,
            rootfs_key="k",
            process=ProcessSpec(args=("a",)),
            created_ns=created_ns,
            hostname="h",
            **words,
        )
        record, lock = create(paths, spec, kept=kept)
        if state is not None:
            record.set_running(state)
        paths.container_run_dir(record.id).mkdir(parents=True)
        if not keep_lock:
            lock.close()
        return record, lock

    return leave


def names(paths):
    return {each.spec.name: type(each.state) for each in summaries(paths, all=True)}


def test_a_container_that_was_to_remove_itself_is_removed(paths, left):
    left("gone", auto_remove=True)
    tidy_running(paths)
    assert names(paths) == {}
    assert list((paths.run / "c").iterdir()) == []


def test_one_that_was_to_stay_gets_its_end_on_record(paths, left):
    record, _ = left("kept")
    tidy_running(paths)
    assert names(paths) == {"kept": Exited}
    assert msgspec.json.decode((record.dir / "exit.json").read_bytes())["reason"]
    assert record.state().status == LOST


def test_the_end_that_is_on_record_stays(paths, left):
    record, _ = left("kept")
    record.set_exited(Exited(status=ExitStatus(code=3), finished_ns=5, started_ns=1))
    tidy_running(paths)
    assert record.state().status == ExitStatus(code=3)
    assert list((paths.run / "c").iterdir()) == []


def test_nobody_waits_for_an_owner_that_lives(paths, left, monkeypatch):
    def refuse(seconds):
        raise AssertionError(f"waited {seconds} s for a lock that its owner keeps")

    _, lock = left("owned", auto_remove=True, keep_lock=True)
    monkeypatch.setattr("firkin.container.locks.time.sleep", refuse)
    tidy_running(paths)
    tidy_all(paths)
    assert set(names(paths)) == {"owned"}
    lock.close()


def test_one_whose_owner_lives_is_left_alone(paths, left):
    _, lock = left("owned", keep_lock=True)
    tidy_running(paths)
    assert not (paths.run / "c").joinpath("x").exists()
    assert len(list((paths.run / "c").iterdir())) == 1
    lock.close()


def test_one_whose_machine_lives_is_left_for_the_supervisor(paths, left):
    record, _ = left("alive")
    with record.hold_alive():
        tidy_running(paths)
        assert names(paths) == {"alive": Running}
    assert paths.container_run_dir(record.id).exists()


def test_one_that_was_just_made_is_on_its_way_to_an_owner(paths, left):
    left("new", state=None, created_ns=time.time_ns(), detached=True)
    left("forgotten", state=None, detached=True)
    left("dead", state=None, created_ns=time.time_ns())  # whoever made it owned it from the first moment
    tidy_running(paths)
    assert set(names(paths)) == {"new"}


def test_after_a_reboot_every_record_is_looked_at(paths, left):
    left("gone", auto_remove=True)
    left("kept")
    for each in (paths.run / "c").iterdir():
        each.rmdir()
    (paths.run / "c").rmdir()
    tidy_running(paths)
    assert names(paths) == {"kept": Exited}


def test_what_cannot_be_read_is_listed_and_harms_no_other(paths, left):
    broken, _ = left("broken")
    (broken.dir / "spec.json").write_text("{")
    left("gone", auto_remove=True)
    tidy_running(paths)
    tidy_all(paths)
    (listed,) = summaries(paths, all=False)
    assert listed.spec.id == broken.id
    assert "spec.json" in listed.problem


def test_a_run_directory_of_nobody_goes(paths):
    (paths.run / "c" / "0123456789ab").mkdir(parents=True)
    tidy_running(paths)
    assert list((paths.run / "c").iterdir()) == []


def test_one_that_was_made_to_be_started_later_stays(paths, left):
    record, _ = left("later", state=None, kept=True, auto_remove=True)
    tidy_all(paths)
    assert record.state() == Created(kept=True)


def test_one_that_ended_in_order_to_be_started_again_stays_for_that(paths, left):
    record, _ = left("again", auto_remove=True)
    ended = Exited(status=ExitStatus(code=3), finished_ns=5, started_ns=1, again_ns=6)
    record.set_exited(ended)
    tidy_all(paths)
    assert record.state() == ended


def test_names_that_a_cut_off_rename_left_are_free(paths, left):
    left("web")
    (paths.names_dir / "stray").symlink_to(os.readlink(paths.names_dir / "web"))
    tidy_all(paths)
    assert [link.name for link in paths.names_dir.iterdir() if link.is_symlink()] == ["web"]
