"""Images by name: listing, tagging, removing, importing. No registry is needed."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from firkin.engine.image_use import ImageUse
from firkin.engine.images import Images
from firkin.errors import (
    Conflict,
    Corrupt,
    ImageNotFound,
    InUse,
    PlatformNotFound,
    ReferenceSyntaxError,
    UnsupportedMediaType,
    UsageError,
)
from firkin.oci import media_types as types
from firkin.oci.digest import Digest
from firkin.oci.image import Image
from firkin.oci.platform import Platform
from firkin.settings import Settings
from tests.support.images import tar_of

TAR = tar_of({"etc": None, "etc/hello": b"hello", "bin/sh": "-> /bin/busybox"})


class Uses(list[ImageUse]):
    """The containers that there are."""

    def __call__(self) -> Uses:
        return self


@pytest.fixture
def uses() -> Uses:
    return Uses()


@pytest.fixture
def images(settings: Settings, uses: Uses) -> Images:
    return Images(settings, uses=uses)


async def imported(images: Images, name: str, tar: bytes = TAR, **more: str) -> Image:
    return await images.import_archive(io.BytesIO(tar), name, **more)  # type: ignore[arg-type]


def blobs(settings: Settings) -> set[str]:
    return set(os.listdir(settings.paths.blobs_dir)) if settings.paths.blobs_dir.exists() else set()


def in_work(settings: Settings) -> list[str]:
    return os.listdir(settings.paths.ingest_dir) if settings.paths.ingest_dir.exists() else []


@pytest.mark.parametrize(
    ("compress", "media_type"),
    [
        (bytes, types.OCI_LAYER),
        (gzip.compress, types.OCI_LAYER_GZIP),
        (zstandard.compress, types.OCI_LAYER_ZSTD),
    ],
)
async def test_an_archive_becomes_an_image_whose_layer_is_the_archive_as_it_was(
    images: Images, compress: Callable[[bytes], bytes], media_type: str
) -> None:
    archive = compress(TAR)
    image = await imported(images, "hello", archive)
    (layer,) = image.layers
    assert (layer.media_type, layer.digest, layer.diff_id) == (media_type, Digest.of(archive), Digest.of(TAR))
    assert images.store.read_blob(layer.digest) == archive
    assert image.config.platform == Platform.host()
    assert image == images.find("hello") == images.find(image.config_digest.hex[:12])


async def test_the_same_archive_gives_the_same_image_from_a_file_a_pipe_and_memory(
    images: Images, tmp_path: Path
) -> None:
    path = tmp_path / "root.tar"
    path.write_bytes(TAR)
    receiving, sending = os.pipe()
    with open(receiving, "rb") as pipe:
        from_pipe = asyncio.create_task(images.import_archive(pipe, "pipe"))
        for start in range(0, len(TAR), 1000):
            os.write(sending, TAR[start : start + 1000])
            await asyncio.sleep(0)
        os.close(sending)
        found = {(await from_pipe).digest, (await images.import_archive(path)).digest}
    assert found == {(await imported(images, "memory")).digest}
    assert {each.reference.partition("@")[0] for each in images.summaries()} == {
        "localhost/imported",
        "docker.io/library/pipe:latest",
        "docker.io/library/memory:latest",
    }


async def test_an_import_that_is_cancelled_while_it_waits_for_a_pipe_leaves_nothing(
    images: Images, settings: Settings
) -> None:
    receiving, sending = os.pipe()
    with open(receiving, "rb") as pipe, open(sending, "wb"):
        importing = asyncio.create_task(images.import_archive(pipe, "pipe"))
        async with asyncio.timeout(10):
            while not in_work(settings):  # noqa: ASYNC110  nothing tells of it
                await asyncio.sleep(0)
        importing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await importing
    assert (blobs(settings), in_work(settings), images.summaries()) == (set(), [], [])


async def test_changes_set_what_a_dockerfile_would(images: Images) -> None:
    changes = [
        'CMD ["sh", "-l"]',
        "ENTRYPOINT exec env",
        "ENV A=1 B='two words'",
        "env A 3 4",
        "WORKDIR /srv",
        "WORKDIR data",
        "USER 1000:1000",
        "LABEL a.b=c",
        "STOPSIGNAL SIGINT",
        "EXPOSE 80 53/udp",
        'VOLUME ["/data"]',
    ]
    image = await images.import_archive(io.BytesIO(TAR), "it", changes=changes, message="by hand")
    config = image.config
    assert config.cmd == ("sh", "-l")
    assert config.entrypoint == ("/bin/sh", "-c", "exec env")
    assert config.env == ("A=3 4", "B=two words")
    assert (config.working_dir, config.user, config.stop_signal) == ("/srv/data", "1000:1000", "SIGINT")
    assert (config.labels, config.exposed_ports, config.volumes) == (
        {"a.b": "c"},
        ("80/tcp", "53/udp"),
        ("/data",),
    )
    assert config.history[0].comment == "by hand"


@pytest.mark.parametrize(
    "change", ["RUN make", "CMD", "CMD [1]", "ENV =x", "EXPOSE x", "VOLUME data", "LABEL 'a"]
)
async def test_a_bad_change_is_refused_before_the_archive_is_read(
    images: Images, settings: Settings, change: str
) -> None:
    with pytest.raises(UsageError):
        await images.import_archive(io.BytesIO(TAR), "it", changes=[change])
    assert blobs(settings) == set()


@pytest.mark.parametrize(
    ("archive", "error"),
    [
        (b"", Corrupt),
        (bytes(1024), Corrupt),
        (b"this is no archive" * 100, Corrupt),
        (TAR[:700], Corrupt),
        (gzip.compress(TAR)[:-20], Corrupt),
        (b"BZh91AY&SY", UnsupportedMediaType),
    ],
)
async def test_an_archive_that_is_none_leaves_nothing(
    images: Images, settings: Settings, archive: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await imported(images, "it", archive)
    assert (blobs(settings), in_work(settings), images.summaries()) == (set(), [], [])


async def test_a_bomb_is_given_up_at_the_bound(
    images: Images, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firkin.engine.image_archive.MAX_UNCOMPRESSED_BYTES", 1 << 20)
    with pytest.raises(Corrupt, match="uncompresses to more than"):
        await imported(images, "bomb", gzip.compress(tar_of({"zeros": bytes(8 << 20)})))
    assert (blobs(settings), in_work(settings)) == (set(), [])


async def test_a_path_that_cannot_be_read_is_named(images: Images) -> None:
    with pytest.raises(UsageError, match=r"cannot read /nowhere/root\.tar: No such file"):
        await images.import_archive("/nowhere/root.tar", "it")


async def test_an_image_is_found_by_name_id_digest_and_by_how_they_begin(images: Images) -> None:
    image = await imported(images, "localhost/a")
    images.tag("localhost/a", "b:2")
    for name in (
        "localhost/a",
        "b:2",
        image.config_digest.hex,
        str(image.config_digest),
        image.digest.hex[:7],
    ):
        assert images.find(name) == image
    digests = [(await imported(images, f"other{n}", tar_of({"n": bytes([n])}))).digest.hex for n in range(17)]
    shared_beginning = next(first for first in "0123456789abcdef" if sum(d[0] == first for d in digests) > 1)
    with pytest.raises(UsageError, match="several images"):
        images.find(shared_beginning)
    with pytest.raises(ImageNotFound, match="image nothere is not here"):
        images.find("nothere")
    with pytest.raises(ReferenceSyntaxError):
        images.find("No/Such Name")


async def test_an_image_for_another_platform_alone_is_taken_unless_ours_is_asked_for(images: Images) -> None:
    image = await imported(images, "foreign", platform="linux/s390x")
    assert images.find("foreign") == image
    with pytest.raises(PlatformNotFound):
        images.find("foreign", platform="linux/amd64")
    with pytest.raises(ImageNotFound, match="is not here, and must not be pulled"):
        await images.pull("foreign", policy="never", platform="linux/amd64")
    assert await images.pull("foreign", policy="never", platform="linux/s390x") == image
    assert await images.pull("foreign", policy="never") == image
    native = await imported(images, "native")
    assert await images.pull("native", policy="never") == native


async def test_the_listing_has_a_line_for_each_name(images: Images) -> None:
    image = await imported(images, "localhost:5000/a/b")
    images.tag("localhost:5000/a/b", "alpine:3")
    lines = {(each.repository, each.tag, each.id, each.size_bytes) for each in images.summaries()}
    size = image.size_bytes
    assert lines == {
        ("localhost:5000/a/b", "latest", str(image.config_digest), size),
        ("alpine", "3", str(image.config_digest), size),
    }


async def test_a_broken_record_is_listed_and_can_be_removed(images: Images, settings: Settings) -> None:
    await imported(images, "good")
    await imported(images, "bad")
    (settings.paths.refs_dir / "docker.io/library/bad/_tags/latest").write_bytes(b"?")
    first, second = images.summaries()
    assert (first.repository, second.repository) == ("bad", "good")
    assert "_tags/latest cannot be read" in first.problem
    assert await images.remove("bad") == ["Untagged: bad:latest"]
    assert [each.repository for each in images.summaries()] == ["good"]


async def test_the_last_name_takes_the_image_along(images: Images, settings: Settings) -> None:
    image = await imported(images, "a")
    images.tag("a", "b")
    assert await images.remove("a") == ["Untagged: a:latest"]
    assert images.find("b") == image
    assert await images.remove("b") == ["Untagged: b:latest", f"Deleted: {image.config_digest}"]
    assert blobs(settings) == set()


async def test_an_id_with_several_names_goes_only_by_force(images: Images, settings: Settings) -> None:
    image = await imported(images, "a")
    images.tag("a", "b")
    with pytest.raises(Conflict, match="has several names: a:latest, b:latest"):
        await images.remove(image.config_digest.hex)
    assert len(await images.remove(image.config_digest.hex[:12], force=True)) == 3
    assert blobs(settings) == set()


def use_of(image: Image, *, running: bool) -> ImageUse:
    rootfs_key = f"{image.chain_id.hex}-1-1"
    user = f"the {'running' if running else 'ended'} container web"
    return ImageUse(user, "firkin rm web", image.digest, rootfs_key, running)


@pytest.mark.parametrize(("running", "force"), [(True, False), (True, True), (False, False)])
async def test_the_last_name_stays_while_a_container_needs_it(
    images: Images, uses: Uses, running: bool, force: bool
) -> None:
    image = await imported(images, "a")
    images.tag("a", "b")
    uses.append(use_of(image, running=running))
    assert await images.remove("b") == ["Untagged: b:latest"]
    with pytest.raises(InUse, match=r"used by the (running|ended) container web"):
        await images.remove("a", force=force)
    assert images.find("a") == image


async def test_force_takes_the_name_of_an_ended_container_and_leaves_what_it_stands_on(
    images: Images, uses: Uses, settings: Settings
) -> None:
    image = await imported(images, "a")
    uses.append(use_of(image, running=False))
    assert await images.remove("a", force=True) == ["Untagged: a:latest"]
    assert len(blobs(settings)) == 3
    uses.clear()
    assert (await images.prune()).blobs == 3


async def test_what_is_not_here_cannot_be_removed_or_tagged(images: Images) -> None:
    with pytest.raises(ImageNotFound, match="nothere"):
        await images.remove("nothere")
    with pytest.raises(ImageNotFound, match="nothere"):
        images.tag("nothere", "there")
    with pytest.raises(UsageError, match="a digest is no tag"):
        images.tag("nothere", f"there@{Digest.of(b'')}")
