"""Volumes on record: made, listed by containers, removed with them, and never left behind by a crash."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec
import pytest

from firkin.container import volume_use
from firkin.container.naming import new_id
from firkin.container.record import Record, Running, Streams, Suspended, create
from firkin.container.spec import ContainerSpec
from firkin.container.storage import Storage
from firkin.engine import storage
from firkin.engine.volume_summary import create as create_volume
from firkin.engine.volume_summary import prune, summaries
from firkin.errors import Corrupt, InUse, NameInUse, StorageFull, UsageError, VolumeNotFound
from firkin.machine.held_disk import hold
from firkin.paths import Paths
from firkin.process.spec import ProcessSpec
from firkin.settings import Settings
from firkin.volume import contents
from firkin.volume import record as volumes
from firkin.volume.mount import VolumeMount

MIB = 1 << 20


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(
        {"HOME": str(tmp_path)},
        data_dir=str(tmp_path / "data"),
        run_dir=str(tmp_path / "run"),
        disk_bytes=16 * MIB,
    )


@pytest.fixture
def paths(settings: Settings) -> Paths:
    return settings.paths


def container(paths: Paths, *mounts: VolumeMount, name: str = "web", ends_with: bool = False) -> Record:
    """A container on record that has those volumes; nobody owns it."""
    container_id = new_id()
    with storage.made(
        paths, Storage(volumes=mounts), container_id, size_bytes=16 * MIB, ends_with=ends_with
    ) as made:
        record, lock = create(paths, spec_of(container_id, name, made))
    lock.close()
    return record


def spec_of(container_id: str, name: str, made: Storage) -> ContainerSpec:
    return ContainerSpec(
        id=container_id, name=name, image="image", image_digest="sha256:" + "0" * 64, rootfs_key="key",
        process=ProcessSpec(args=("true",)), created_ns=1, hostname="host", storage=made,
    )  # fmt: skip


def test_missing_volumes_are_made_with_the_container_and_stay_while_it_lists_them(paths: Paths) -> None:
    record = container(paths, VolumeMount(name="data", target="/data"), VolumeMount(target="/more"))
    named, anonymous = record.spec().storage.volumes
    assert (named.name, named.anonymous) == ("data", False)
    assert (len(anonymous.name), anonymous.anonymous) == (64, True)
    for name in ("data", anonymous.name):
        with pytest.raises(InUse, match="used by the container web"):
            volume_use.remove(paths, name)
    assert prune(paths, all=True) == ([], 0)
    volume_use.remove_container(record)
    assert volumes.everyone(paths) == ["data"]  # the other was never used
    volume_use.remove(paths, "data")
    with pytest.raises(VolumeNotFound, match="no such volume: data"):
        volume_use.remove(paths, "data")


def test_an_anonymous_volume_with_content_stays_unless_it_ends_with_its_container(paths: Paths) -> None:
    for ends_with, left in ((False, 1), (True, 0)):
        record = container(paths, VolumeMount(target="/more"), ends_with=ends_with)
        (mount,) = record.spec().storage.volumes
        volumes.disk_path(paths, mount.name).write_bytes(b"disk")
        volume_use.remove_container(record)
        assert len(volumes.everyone(paths)) == left
        prune(paths)
    record = container(paths, VolumeMount(target="/more"))
    (mount,) = record.spec().storage.volumes
    volumes.disk_path(paths, mount.name).write_bytes(b"disk")
    volume_use.let_end(paths, record.spec())
    record.remove()  # and a crash before the rest
    assert volumes.everyone(paths) == [mount.name]
    volume_use.sweep(paths)
    assert volumes.everyone(paths) == []


def full_disk_while_made(paths: Paths, wanted: Storage) -> None:
    with storage.made(paths, wanted, new_id(), size_bytes=MIB, ends_with=False):
        assert len(volumes.everyone(paths)) == 3
        raise StorageFull("full")


def test_a_container_that_does_not_come_to_be_leaves_no_volume(paths: Paths) -> None:
    create_volume(
        Settings.load({"HOME": "/nobody"}, data_dir=str(paths.data), run_dir=str(paths.run)), "here"
    )
    mounts = (
        VolumeMount(name="here", target="/h"),
        VolumeMount(name="new", target="/n"),
        VolumeMount(target="/a"),
    )
    with pytest.raises(StorageFull):
        full_disk_while_made(paths, Storage(volumes=mounts))
    assert volumes.everyone(paths) == ["here"]
    twice = Storage(volumes=(VolumeMount(name="new", target="/n"), VolumeMount(name="new", target="/m")))
    with (
        pytest.raises(UsageError, match="'new' is given twice"),
        storage.made(paths, twice, new_id(), size_bytes=MIB, ends_with=False),
    ):
        pass
    many = Storage(volumes=tuple(VolumeMount(target=f"/{n}") for n in range(17)))
    with (
        pytest.raises(UsageError, match="more than 16"),
        storage.made(paths, many, new_id(), size_bytes=MIB, ends_with=False),
    ):
        pass
    assert volumes.everyone(paths) == ["here"]


def test_a_disk_is_free_only_while_nobody_has_it_running_or_suspended(paths: Paths) -> None:
    mount = VolumeMount(name="data", target="/data")
    first, second = container(paths, mount, name="first"), container(paths, mount, name="second")
    volume_use.check_free(paths, second.spec())
    with first.hold_alive():
        first.set_running(Running(pid=1, started_ns=1, accelerator="tcg"))
        with pytest.raises(InUse, match="the running container 'first' has it"):
            volume_use.check_free(paths, second.spec())
        volume_use.check_free(paths, first.spec())
    volume_use.check_free(paths, second.spec())
    first.set_suspended(Suspended(suspended_ns=2, started_ns=1, detached=True, proc=1, ahead=Streams()))
    with pytest.raises(InUse, match="the suspended container 'first' has it"):
        volume_use.check_free(paths, second.spec())
    volume_use.check_free(paths, first.spec())


def test_who_has_a_disk_holds_it_and_nobody_fills_it_meanwhile(paths: Paths, tmp_path: Path) -> None:
    record = container(paths, VolumeMount(name="data", target="/data", copy=False))
    (mount,) = record.spec().storage.disks
    contents.make_ready(paths, mount, tmp_path / "image")
    disk = contents.as_disk(paths, mount)
    fd = hold(disk)
    with pytest.raises(InUse, match="volume 'data' is in use by another machine"):
        hold(disk)
    os.close(fd)
    os.close(hold(disk))


def test_a_disk_that_another_took_the_place_of_is_nobodys(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = container(paths, VolumeMount(name="data", target="/data", copy=False))
    (mount,) = record.spec().storage.disks
    contents.make_ready(paths, mount, tmp_path / "image")
    disk = contents.as_disk(paths, mount)
    real = fcntl.flock

    def rival_first(fd: int, how: int) -> None:
        (tmp_path / "other").write_bytes(disk.path.read_bytes()[:MIB])
        os.rename(tmp_path / "other", disk.path)
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", rival_first)
    with pytest.raises(InUse):
        hold(disk)


def test_a_volume_that_is_there_is_made_again_only_as_it_is(settings: Settings) -> None:
    first = create_volume(settings, "data", labels={"a": "b"}, options={"size": "20m"})
    assert create_volume(settings, "data", labels={"a": "b"}, options={"size": "20m"}) == first
    with pytest.raises(NameInUse, match="there is a volume 'data'"):
        create_volume(settings, "data", options={"size": "30m"})
    assert first.size_bytes == 20 * MIB


@pytest.mark.parametrize(
    ("name", "driver", "options", "reason"),
    [
        ("a/b", "", {}, "forbidden characters: /"),
        ("..", "", {}, "not a volume name"),
        ("data", "nfs", {}, "'nfs' is not a driver"),
        ("data", "", {"size": "1k"}, "out of range"),
        ("data", "", {"size": "much"}, "size"),
        ("data", "dir", {"size": "1g"}, "no size of its own"),
        ("data", "disk", {"type": "dir"}, "driver disk and type=dir"),
        ("data", "", {"device": "/tmp"}, "device is for type=dir"),
        ("data", "dir", {"device": "/not/there"}, "not a directory of this host"),
        ("data", "", {"o": "addr=1"}, "'o' cannot be honoured"),
    ],
)
def test_a_volume_that_cannot_be_is_refused(
    settings: Settings, name: str, driver: str, options: dict[str, str], reason: str
) -> None:
    with pytest.raises(UsageError) as refused:
        create_volume(settings, name, driver=driver, options=options)
    assert reason in str(refused.value)
    assert volumes.everyone(settings.paths) == []


def test_an_unreadable_volume_is_told_and_goes_by_force(settings: Settings) -> None:
    paths = settings.paths
    create_volume(settings, "good")
    create_volume(settings, "bad")
    (paths.volume_dir("bad") / "volume.json").write_bytes(b"{")
    told: list[object] = []
    assert [each.record.name for each in summaries(paths, told.append)] == ["good"]
    assert len(told) == 1
    with pytest.raises(Corrupt, match="'bad'"):
        volume_use.remove(paths, "bad")
    volume_use.remove(paths, "bad", force=True)
    assert volumes.everyone(paths) == ["good"]


def test_what_a_crash_left_half_made_or_removed_is_swept(settings: Settings) -> None:
    paths = settings.paths
    create_volume(settings, "data")
    for leftover in (".other.new", ".another.gone"):
        (paths.volumes_dir / leftover).mkdir()
    volume_use.sweep(paths)
    assert sorted(path.name for path in paths.volumes_dir.iterdir()) == [".lock", "data"]


def test_what_starts_from_a_snapshot_gets_named_volumes_and_new_ones_for_the_others() -> None:
    had = Storage(
        volumes=(
            VolumeMount(name="data", target="/d", driver="dir", path="/somewhere"),
            VolumeMount(name="victim", target="/a", anonymous=True, driver="dir", path="/etc"),
        )
    )
    named, fresh = storage.inherited(had).volumes
    assert named == had.volumes[0]
    assert fresh == msgspec.structs.replace(VolumeMount(target="/a"), anonymous=True)
