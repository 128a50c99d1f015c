"""Names of images, and the sweeping of what nothing names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firkin.errors import Corrupt, DigestMismatch, ImageNotFound, InUse, PlatformNotFound
from firkin.oci import media_types as types
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.oci.image_config import ImageConfig, encode_config
from firkin.oci.manifest import Index, Manifest, encode_index, encode_manifest
from firkin.oci.platform import Platform
from firkin.oci.reference import Reference
from firkin.settings import Settings
from firkin.store.store import Store

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings.paths)


def put_image(store: Store, content: bytes, platform: Platform = AMD64) -> Descriptor:
    """An image of one layer (its bytes are no tar: nobody here reads them)."""
    layer = Descriptor(types.OCI_LAYER, store.put_blob(content), len(content))
    config = encode_config(ImageConfig(platform=platform, diff_ids=(layer.digest,)))
    manifest = encode_manifest(
        Manifest(
            types.OCI_MANIFEST, Descriptor(types.OCI_CONFIG, store.put_blob(config), len(config)), (layer,)
        )
    )
    return Descriptor(types.OCI_MANIFEST, store.put_blob(manifest), len(manifest), platform)


def put_index(store: Store, *manifests: Descriptor) -> Descriptor:
    content = encode_index(Index(types.OCI_INDEX, manifests))
    return Descriptor(types.OCI_INDEX, store.put_blob(content), len(content))


def blobs(settings: Settings) -> int:
    return len(os.listdir(settings.paths.blobs_dir))


def refs(settings: Settings) -> list[str]:
    return [str(path.relative_to(settings.paths.refs_dir)) for path in settings.paths.refs_dir.rglob("*")]


def test_a_name_stands_for_what_it_was_last_given(store: Store) -> None:
    name = Reference.parse("localhost:5000/a/b:c")
    first, second = put_image(store, b"1"), put_image(store, b"2")
    assert store.resolve(name) is None
    store.tag(name, first)
    store.tag(name, second)
    assert store.resolve(name) == second
    assert store.tags() == [(name, second)]
    assert store.untag(name)
    assert not store.untag(name)
    assert store.resolve(name) is None


def test_the_last_name_of_a_repository_takes_its_directories_along(store: Store, settings: Settings) -> None:
    descriptor = put_image(store, b"1")
    for text in ("quay.io/a/b:1", "quay.io/a:2"):
        store.tag(Reference.parse(text), descriptor)
    store.untag(Reference.parse("quay.io/a/b:1"))
    assert sorted(refs(settings)) == ["quay.io", "quay.io/a", "quay.io/a/_tags", "quay.io/a/_tags/2"]
    store.untag(Reference.parse("quay.io/a:2"))
    assert refs(settings) == []


def test_a_digest_finds_the_image_by_itself_and_by_a_tag_of_its_repository(store: Store) -> None:
    descriptor = put_image(store, b"1")
    pinned = Reference.parse(f"alpine@{descriptor.digest}")
    store.tag(Reference.parse("alpine:1"), descriptor)
    assert store.resolve(pinned) == descriptor
    assert store.resolve(Reference.parse(f"busybox@{descriptor.digest}")) is None
    store.tag(pinned, descriptor)
    store.untag(Reference.parse("alpine:1"))
    assert store.tags() == [(pinned, descriptor)]


def test_an_index_gives_each_platform_its_image_and_says_which_it_has(store: Store) -> None:
    ours, theirs = put_image(store, b"1"), put_image(store, b"2", ARM64)
    index = put_index(store, ours, theirs)
    assert store.image(index, AMD64).digest == ours.digest
    assert store.image(index, ARM64).config.platform == ARM64
    with pytest.raises(PlatformNotFound, match="exists for linux/amd64, linux/arm64/v8"):
        store.image(index, Platform.parse("linux/s390x"))
    with pytest.raises(PlatformNotFound, match="exists for linux/amd64"):
        store.image(ours, ARM64)


def test_a_platform_that_was_not_pulled_is_not_found(store: Store) -> None:
    index = put_index(
        store, put_image(store, b"1"), Descriptor(types.OCI_MANIFEST, Digest.of(b"x"), 1, ARM64)
    )
    with pytest.raises(ImageNotFound, match=str(Digest.of(b"x"))):
        store.image(index, ARM64)
    assert [image.config.platform for image in store.local_images(index)] == [AMD64]


def test_a_sweep_keeps_what_names_and_containers_stand_on(store: Store, settings: Settings) -> None:
    named, used, forgotten = (put_image(store, content) for content in (b"1", b"2", b"3"))
    index = put_index(store, named)
    store.tag(Reference.parse("named"), index)
    reclaimed = store.collect(lambda: [(used.digest, "")])
    assert reclaimed.blobs == 3
    assert reclaimed.bytes > 0
    assert blobs(settings) == 1 + 3 + 3
    assert store.is_complete(store.image(index, AMD64))
    assert store.is_complete(store.image(used, AMD64))
    with pytest.raises(ImageNotFound):
        store.image(forgotten, AMD64)
    assert os.listdir(settings.paths.ingest_dir) == []


def make_rootfs(settings: Settings, key: str) -> Path:
    directory = settings.paths.rootfs_dir / key
    directory.mkdir(parents=True)
    (directory / "image.ext4").write_bytes(b"ext4")
    return directory


def test_a_sweep_keeps_the_root_file_systems_of_images_and_of_containers(
    store: Store, settings: Settings
) -> None:
    descriptor = put_image(store, b"1")
    store.tag(Reference.parse("named"), descriptor)
    chain_id = store.image(descriptor, AMD64).chain_id.hex
    by_image = make_rootfs(settings, f"{chain_id}-10-1")
    by_container = make_rootfs(settings, f"{'a' * 64}-10-1")
    unused = make_rootfs(settings, f"{'b' * 64}-10-1")
    assert store.collect(lambda: [(Digest.of(b""), by_container.name)]).rootfs == 1
    assert (by_image.exists(), by_container.exists(), unused.exists()) == (True, True, False)


def test_a_sweep_waits_for_whoever_is_adding_and_takes_nothing_from_them(
    store: Store, settings: Settings
) -> None:
    descriptor = put_image(store, b"1")
    with store.adding(), pytest.raises(InUse, match="images are being added"):
        Store(settings.paths).collect(list, deadline_s=0)
    assert store.is_complete(store.image(descriptor, AMD64))


def test_a_name_that_cannot_be_read_is_listed_and_stops_the_sweep(store: Store, settings: Settings) -> None:
    good, broken = Reference.parse("good"), Reference.parse("broken")
    descriptor = put_image(store, b"1")
    store.tag(good, descriptor)
    store.tag(broken, descriptor)
    (settings.paths.refs_dir / "docker.io/library/broken/_tags/latest").write_bytes(b"{")
    (name, error), (other, found) = store.records()
    assert (name, other, found) == (broken, good, descriptor)
    assert isinstance(error, Corrupt)
    with pytest.raises(Corrupt, match="broken/_tags/latest"):
        store.collect(list)
    assert blobs(settings) == 3
    assert store.untag(broken)
    assert store.collect(list).blobs == 0


def test_a_manifest_that_rotted_stops_the_sweep(store: Store) -> None:
    descriptor = put_image(store, b"1")
    store.tag(Reference.parse("it"), descriptor)
    store.blob_path(descriptor.digest).chmod(0o600)
    store.blob_path(descriptor.digest).write_bytes(b"rot")
    with pytest.raises(DigestMismatch):
        store.collect(list)


def test_a_half_written_name_is_never_seen_and_goes_with_the_next_sweep(
    store: Store, settings: Settings
) -> None:
    store.tag(Reference.parse("it"), put_image(store, b"1"))
    half = settings.paths.refs_dir / "docker.io/library/it/_tags/.0123"
    half.write_bytes(b"{")
    assert len(store.records()) == 1
    store.collect(list)
    assert not half.exists()


def test_a_name_that_is_being_written_survives_tidying_and_keeps_the_sweep_away(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptor, name = put_image(store, b"1"), Reference.parse("it")
    synced = os.fsync
    rivals: list[str] = []

    def rival_step(fd: int) -> None:
        if not rivals:
            rivals.append("tidy")
            Store(settings.paths).tidy()
            with pytest.raises(InUse):
                Store(settings.paths).collect(list, deadline_s=0)
        synced(fd)

    monkeypatch.setattr("firkin.store.files.os.fsync", rival_step)
    store.tag(name, descriptor)
    assert rivals
    assert store.resolve(name) == descriptor
    assert store.is_complete(store.image(descriptor, AMD64))
