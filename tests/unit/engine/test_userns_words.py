"""Whose ids a container's users are, and what becomes of the owners of its files: words and rules."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firkin.container.id_maps import taken
from firkin.container.record import Record
from firkin.container.spec import ContainerSpec
from firkin.engine import namespace_root, rules
from firkin.engine.mount_facts import binds, mount_facts
from firkin.engine.options import RunOptions
from firkin.engine.resolve import container_spec
from firkin.engine.userns_words import check_mapped
from firkin.engine.volumes import parse_volume
from firkin.engine.words import run_options
from firkin.errors import HostUnsupported, UsageError
from firkin.linux.id_map import IdMap, IdRanges
from firkin.linux.id_mode import IdMode
from firkin.linux.subordinate_ids import Holder, Range
from firkin.oci.digest import Digest
from firkin.oci.image import Image
from firkin.oci.image_config import ImageConfig
from firkin.oci.platform import Platform
from firkin.rootfs.trees import RootTree
from firkin.settings import Settings
from firkin.store.store import Store

SUBORDINATE = (Range("user", 100000, 65536),)
USER = Holder(1000, 1000, "user", SUBORDINATE, SUBORDINATE)


def apart(**words: Any) -> Any:
    return run_options("busybox", ["true"], isolation="namespace", network="none", **words)


def test_maps_that_are_written_out_are_a_mode_of_their_own() -> None:
    options = apart(uidmaps=["0:1:10"], gidmaps=["0:@100000:10"])
    assert options.id_mode == IdMode(kind="explicit", uids=("0:1:10",), gids=("0:@100000:10",))
    assert apart(userns="auto:size=7").id_mode == IdMode(kind="auto", size=7)
    assert apart().id_mode == IdMode()


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"userns": "auto", "uidmaps": ["0:1:10"]}, "userns"),
        ({"uidmaps": ["0:1"]}, "uidmaps"),
        ({"gidmaps": ["0:1:x"]}, "gidmaps"),
        ({"uidmaps": "0:1:10"}, "uidmaps"),
        ({"userns": "pod"}, "userns"),
    ],
)
def test_words_that_contradict_or_mean_nothing_are_refused(words: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError, match=f"^{field}"):
        apart(**words)


@pytest.mark.parametrize(
    ("words", "field"), [({"userns": "auto"}, "userns"), ({"gidmaps": ["0:0:1"]}, "uidmaps")]
)
def test_a_machine_has_users_of_its_own(words: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError, match=f"^{field}: a machine has users of its own"):
        rules.check(run_options("busybox", ["true"], **words))


def test_a_user_that_the_map_lacks_is_refused_before_anything_runs() -> None:
    small = IdMap.alike(IdRanges.parse("0:100000:10"))
    for user in ("", "0", "9:9", "ann", "ann:wheel"):
        check_mapped(user, small)
    for user in ("10", "0:10"):
        with pytest.raises(UsageError, match="none of the container's"):
            check_mapped(user, small)


def test_what_becomes_of_owners_is_said_and_shown_as_it_was_said(settings: Settings, tmp_path: Path) -> None:
    bind = parse_volume(f"{tmp_path}:/a:ro,U")
    assert (bind.owners, bind.readonly) == ("U", True)
    assert parse_volume("data:/a:idmap").owners == "idmap"
    options = apart(volumes=[f"{tmp_path}:/a:U"], mounts=[f"type=bind,src={tmp_path},dst=/b,idmap"])
    assert [each.owners for each in options.binds] == ["U", "idmap"]
    assert apart(mounts=["type=volume,src=data,dst=/b,chown=true"]).storage.volumes[0].owners == "U"
    spec = container_spec(
        options, IMAGE, rootfs_key="", container_id="c" * 64, name="c", created_ns=0, settings=settings
    )
    assert {each["Transport"] for each in mount_facts(spec, settings.paths)} == {"bind"}
    assert binds(spec) == [f"{tmp_path}:/a:U", f"{tmp_path}:/b:idmap"]


@pytest.mark.parametrize(
    ("word", "isolation", "reason"),
    [
        ("{here}:/a:U,idmap", "namespace", "both U and idmap"),
        ("{here}:/a:U", "vm", "a machine has users of its own"),
        ("{here}:/a:idmap", "vm", "a machine has users of its own"),
        ("/usr:/a:U", "namespace", "this host needs it"),
        ("/usr/../etc:/a:U", "namespace", "this host needs it"),
    ],
)
def test_owners_that_cannot_be_changed_are_refused(
    word: str, isolation: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=reason):
        rules.check(run_options("box", ["true"], isolation=isolation, volumes=[word.format(here=tmp_path)]))


def test_only_root_may_have_the_owners_of_mounts_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(HostUnsupported, match="root alone"):
        rules.check(apart(volumes=[f"{tmp_path}:/a:idmap"]))


DIGEST = Digest.parse("sha256:" + "ab" * 32)
IMAGE = Image(DIGEST, DIGEST, ImageConfig(platform=Platform.host(), diff_ids=(DIGEST,)), (), 0)


def put(settings: Settings, options: RunOptions) -> ContainerSpec:
    """Put a container on record as `options` say, over a tree that nobody makes."""

    settings = msgspec.structs.replace(settings, storage_driver="overlay")

    async def there() -> Record:
        made, lock = await namespace_root.put(
            options, IMAGE, settings, Store(settings.paths).open_blob, detached=True, kept=True
        )
        lock.close()
        return made

    return asyncio.run(there()).spec()


@pytest.fixture
def trees(monkeypatch: pytest.MonkeyPatch) -> list[IdMap]:
    """The maps that trees were asked for; the host is one whose user has subordinate ids."""
    asked: list[IdMap] = []

    def tree_of(_image: object, _settings: object, id_map: IdMap, _blob: object) -> RootTree:
        asked.append(id_map)
        return RootTree("key", Path("/nowhere"))

    monkeypatch.setattr(namespace_root, "tree_of", tree_of)
    monkeypatch.setattr(Holder, "here", lambda: USER)
    return asked


def first(spec: ContainerSpec) -> int | None:
    assert spec.id_map is not None
    return spec.id_map.uids.outside(0)


def test_ids_of_its_own_are_nobody_elses_and_free_once_it_is_removed(
    settings: Settings, trees: list[IdMap]
) -> None:
    specs = [put(settings, apart(userns="auto:size=100")) for _ in range(3)]
    assert [first(spec) for spec in specs] == [100000, 100100, 100200]
    put(settings, apart())  # has all of them, and reserves none
    Record(settings.paths, specs[1].id).remove()
    assert len(taken(settings.paths)) == 2
    assert first(put(settings, apart(userns="auto:size=100"))) == 100100


def test_ids_that_another_container_got_while_a_tree_was_made_are_not_taken_again(
    settings: Settings, trees: list[IdMap], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = namespace_root.tree_of
    rivals: list[ContainerSpec] = []

    def tree_of(*args: Any) -> RootTree:
        if not rivals:
            monkeypatch.setattr(namespace_root, "tree_of", made)
            rivals.append(put_in_thread(settings))
        return made(*args)

    monkeypatch.setattr(namespace_root, "tree_of", tree_of)
    mine = put(settings, apart(userns="auto:size=100"))
    assert (first(rivals[0]), first(mine)) == (100000, 100100)
    assert [each.uids.outside(0) for each in trees] == [100000, 100000, 100100]


def put_in_thread(settings: Settings) -> ContainerSpec:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(put, settings, apart(userns="auto:size=100")).result()


def test_whoever_is_kept_is_the_user_unless_somebody_names_one(
    settings: Settings, trees: list[IdMap]
) -> None:
    assert put(settings, apart(userns="keep-id")).process.user == "1000:1000"
    assert put(settings, apart(userns="keep-id", user="5")).process.user == "5"
    assert put(settings, apart(userns="nomap")).process.user == ""
    with pytest.raises(UsageError, match="none of the container's"):
        put(settings, apart(userns="auto:size=10", user="10"))
    assert len(trees) == 3, "no tree is made for what is refused"
