"""Volumes and private networks from Python: what the commands do, with the same refusals."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from firkin import AsyncEngine, Engine, InUse, NameInUse, NetworkNotFound, UsageError, VolumeNotFound
from firkin.container.record import create
from firkin.container.spec import ContainerSpec
from firkin.container.storage import Storage
from firkin.linux import storage_namespace
from firkin.network.spec import Interface, NetworkSpec
from firkin.process.spec import ProcessSpec
from firkin.settings import Settings
from firkin.volume.mount import VolumeMount


def listing(settings: Settings, **fields: object) -> None:
    """Put a container on record that has those."""
    spec = ContainerSpec(
        id="c" * 64, name="user", image="box", image_digest="", rootfs_key="",
        process=ProcessSpec(args=("sh",)), created_ns=1, hostname="h", **fields,  # type: ignore[arg-type]
    )  # fmt: skip
    create(settings.paths, spec, kept=True)[1].close()


def test_volumes_are_made_listed_told_of_and_removed_by_name(settings: Settings) -> None:
    with Engine(settings) as engine:
        volumes = engine.volumes
        made = volumes.create("notes", options={"size": "64m"}, labels={"a": "b"})
        assert (made.name, made.driver, made.labels, made.containers) == ("notes", "disk", {"a": "b"}, ())
        assert volumes.create("notes", options={"size": "64m"}, labels={"a": "b"}).record == made.record
        with pytest.raises(NameInUse):
            volumes.create("notes")
        other = volumes.create(driver="dir")
        assert len(other.name) == 64
        assert [each.name for each in volumes.list()] == sorted(["notes", other.name])
        assert volumes.inspect("notes")["Size"] == 64 << 20
        listing(settings, storage=Storage(volumes=(VolumeMount(target="/x", name="notes"),)))
        assert volumes.list()[-1].containers == ("user",)
        with pytest.raises(InUse, match="user"):
            volumes.remove("notes")
        assert volumes.prune() == ()
        assert volumes.prune(all=True) == (other.name,)
        with pytest.raises(VolumeNotFound):
            volumes.remove(other.name)
        with pytest.raises(UsageError, match="option 'sise'"):
            volumes.create("x1", options={"sise": "1g"})


def test_a_volume_that_is_a_directory_is_given_to_a_user_of_containers(settings: Settings) -> None:
    with Engine(settings) as engine:
        volumes = engine.volumes
        made = volumes.create("shared", driver="dir")
        path = Path(made.record.path)
        (path / "file").touch()
        (path / "link").symlink_to(settings.data_dir)
        ours = storage_namespace.storage_map()
        if ours.uids.outside(7) is None:
            pytest.skip("this user has no subordinate ids")
        volumes.chown("shared", 7, 8)
        owners = {(each.lstat().st_uid, each.lstat().st_gid) for each in (path, path / "file", path / "link")}
        assert owners == {(ours.uids.outside(7), ours.gids.outside(8))}
        assert os.stat(settings.data_dir).st_uid == os.geteuid()
        volumes.chown("shared", 9)
        assert path.stat().st_gid == ours.gids.outside(9)
        with pytest.raises(UsageError, match="owner '-1:-1'"):
            volumes.chown("shared", -1)
        real = Path(settings.data_dir).parent / "real"
        (real / "deep").mkdir(parents=True)
        (real.parent / "way").symlink_to(real)
        volumes.create("way", driver="dir", options={"device": str(real.parent / "way")})
        volumes.chown("way", 7)
        assert (real / "deep").stat().st_uid == ours.uids.outside(7)
        volumes.create("disk")
        with pytest.raises(UsageError, match="a disk of its own"):
            volumes.chown("disk", 7)
        volumes.remove("shared")


def test_networks_are_made_listed_told_of_and_removed_by_name(settings: Settings) -> None:
    with Engine(settings) as engine:
        networks = engine.networks
        made = networks.create("inner", subnets=["10.99.0.0/24"], internal=True, labels={"a": "b"})
        assert (made.name, made.record.subnet, made.labels) == ("inner", "10.99.0.0/24", {"a": "b"})
        with pytest.raises(NameInUse):
            networks.create("inner")
        with pytest.raises(UsageError, match="subnets"):
            networks.create("outer", subnets="10.98.0.0/24")
        assert networks.create("outer").record.subnet
        assert [each.name for each in networks.list()] == ["inner", "outer"]
        assert networks.inspect("inner")["Internal"] is True
        card = Interface(network="inner", id=made.record.id, address="10.99.0.2/24")
        listing(settings, network=NetworkSpec(interfaces=(card,)))
        assert networks.list()[0].containers == {"user": "10.99.0.2/24"}
        with pytest.raises(InUse, match="user"):
            networks.remove("inner")
        assert networks.prune() == ("outer",)
        with pytest.raises(NetworkNotFound):
            networks.remove("outer")


def test_the_same_is_there_for_asyncio(settings: Settings) -> None:
    async def do() -> tuple[str, ...]:
        async with AsyncEngine(settings) as engine:
            await engine.volumes.create("notes")
            await engine.networks.create("inner")
            assert [each.name for each in await engine.networks.list()] == ["inner"]
            await engine.networks.remove("inner")
            return await engine.volumes.prune(all=True)

    assert asyncio.run(do()) == ("notes",)
