"""Pulls from a real registry, of what its own pusher, skopeo and umoci put there; judged by skopeo and
umoci.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from firkin.engine.images import Images as LocalImages
from firkin.errors import (
    AuthenticationFailed,
    DigestMismatch,
    ImageNotFound,
    PlatformNotFound,
    RegistryUnreachable,
)
from firkin.events import Event, subscribed
from firkin.oci.digest import Digest
from firkin.oci.manifest import Index
from firkin.oci.platform import Platform
from firkin.oci.reference import Reference
from firkin.pytest.registry import Registry, running_registry
from firkin.registry.endpoint import Endpoint
from firkin.registry.repository import find_base
from firkin.registry.transport import open_transport
from firkin.settings import Settings
from firkin.store.store import Store
from tests.support.images import Flavour, Images, busybox_tar, tar_of

ONE, TWO = tar_of({"one": b"1" * 100_000}), tar_of({"two": b"2", "link": "-> one"})
FOREIGN = "linux/s390x"


@pytest.fixture
def local(settings: Settings) -> LocalImages:
    return LocalImages(settings)


@pytest.mark.parametrize("flavour", ["oci", "docker"])
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
async def test_an_image_of_every_format_arrives_whole(
    images: Images, local: LocalImages, flavour: Flavour, compression: str
) -> None:
    pushed = images.push(
        f"formats/{flavour}-{compression}",
        [ONE, TWO],
        flavour=flavour,
        compression=compression,
        cmd=("sh",),
        user="1:1",
        labels={"a": "b"},
    )
    image = await local.pull(pushed.reference)
    assert image.digest == pushed.descriptor.digest
    assert image.config == pushed.config
    assert [layer.diff_id for layer in image.layers] == [Digest.of(ONE), Digest.of(TWO)]
    assert local.store.is_complete(image)
    assert await local.pull(pushed.reference, policy="never") == image


@pytest.mark.parametrize("flavour", ["oci", "docker"])
async def test_an_index_brings_the_platform_that_was_asked_for(
    images: Images, local: LocalImages, flavour: Flavour
) -> None:
    name = f"multi-{flavour}"
    ours = images.push(name, [ONE], tag="ours", flavour=flavour)
    theirs = images.push(name, [TWO], tag="theirs", flavour=flavour, platform=FOREIGN)
    index = images.push_index(name, [ours, theirs], flavour=flavour)
    assert (await local.pull(index.reference)).digest == ours.descriptor.digest
    assert not local.store.has_blob(theirs.descriptor.digest)
    assert (await local.pull(index.reference, platform=FOREIGN)).digest == theirs.descriptor.digest
    assert (await local.pull(index.reference, policy="never")).digest == ours.descriptor.digest
    assert {each.digest for each in local.summaries()} == {str(index.descriptor.digest)}
    with pytest.raises(PlatformNotFound, match=f"no image for linux/riscv64: it exists for .*{FOREIGN}"):
        await local.pull(index.reference, platform="linux/riscv64")


async def test_a_digest_brings_exactly_that_image_and_is_asked_for_once(
    images: Images, local: LocalImages
) -> None:
    first = images.push("pinned", [ONE])
    images.push("pinned", [TWO])
    image = await local.pull(first.pinned, policy="always")
    assert image.layers[0].diff_id == Digest.of(ONE)
    with recorded() as counts:
        assert await local.pull(first.pinned, policy="always") == image
    assert counts == {}


async def test_a_tag_that_moved_is_followed_by_always_and_left_by_missing(
    images: Images, local: LocalImages
) -> None:
    first = images.push("moving", [ONE])
    old = await local.pull(first.reference)
    images.push("moving", [TWO])
    assert await local.pull(first.reference, policy="missing") == old
    assert (await local.pull(first.reference, policy="always")).layers[0].diff_id == Digest.of(TWO)


def recorded() -> _Recorded:
    return _Recorded()


class _Recorded(Counter[str]):
    """Counts events by name while it is entered."""

    def __enter__(self) -> _Recorded:
        self._subscription = subscribed(self._count)
        self._subscription.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._subscription.__exit__(None, None, None)

    def _count(self, event: Event) -> None:
        if event.phase == "point":
            self[event.name] += 1


async def test_what_is_here_is_not_fetched_again(images: Images, local: LocalImages) -> None:
    pushed = images.push("again", [ONE, TWO, ONE])
    with recorded() as counts:
        await local.pull(pushed.reference)
    assert (counts["layer.done"], counts["layer.cached"]) == (2, 0)  # one of the three comes twice
    with recorded() as counts:
        await local.pull(pushed.reference, policy="always")
    assert (counts["layer.done"], counts["layer.cached"]) == (0, 2)


async def test_two_pulls_at_once_fetch_each_layer_once(images: Images, settings: Settings) -> None:
    pushed = images.push("race", [ONE, TWO])
    with recorded() as counts:
        found = await asyncio.gather(*(LocalImages(settings).pull(pushed.reference) for _ in range(3)))
    assert len({image.digest for image in found}) == 1
    assert (counts["config.done"], counts["layer.done"]) == (1, 2)


async def test_unknown_images_are_told_apart_from_unknown_tags(
    images: Images, local: LocalImages, registry: Registry
) -> None:
    images.push("known", [ONE])
    with pytest.raises(
        ImageNotFound, match=f"{registry.host} has no image {registry.host}/known:nope .*unknown"
    ):
        await local.pull(registry.reference("known", "nope"))
    with pytest.raises(ImageNotFound, match=r"has no image .*/never/heard:latest"):
        await local.pull(registry.reference("never/heard"))


async def test_a_layer_that_rotted_at_the_registry_is_refused(
    images: Images, local: LocalImages, registry: Registry, settings: Settings
) -> None:
    layer = tar_of({"rotting": b"away"})
    pushed = images.push("rot", [layer], compression="none")
    digest = Digest.of(layer)
    data = registry.storage_dir / f"docker/registry/v2/blobs/sha256/{digest.hex[:2]}/{digest.hex}/data"
    data.write_bytes(b"\0" * len(layer))
    with pytest.raises(DigestMismatch, match=f"blob {digest} has the digest"):
        await local.pull(pushed.reference)
    assert local.summaries() == []
    assert os.listdir(settings.paths.ingest_dir) == []


# --- login and TLS ----------------------------------------------------------------------------------------


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Registry]:
    with running_registry(tmp_path, login=("me", "secret"), tls=True) as registry:
        yield registry


async def test_a_private_registry_with_a_certificate_of_its_own_serves_who_is_logged_in(
    private: Registry, local: LocalImages, settings: Settings
) -> None:
    pushed = Images(private).push("mine", [ONE])
    with pytest.raises(AuthenticationFailed, match=f"{private.host} wants a user and a password, for mine"):
        await local.pull(pushed.reference)
    auth_path = Path(settings.auth_files[0])
    auth_path.parent.mkdir(parents=True, exist_ok=True)
    options = ["--tls-verify=false", "--authfile", str(auth_path), "-u", "me", "-p", "secret"]
    tool("skopeo", "login", *options, private.host)
    assert (await local.pull(pushed.reference)).digest == pushed.descriptor.digest


async def test_where_tls_is_wanted_neither_a_strange_certificate_nor_plain_http_will_do(
    private: Registry, registry: Registry
) -> None:
    async with open_transport(5.0) as transport:
        for host, words in (
            (private.host, "cannot trust the certificate"),
            (registry.host, "speaks plain HTTP"),
        ):
            base = await find_base(transport, Endpoint(host, host, insecure=False))
            with pytest.raises(RegistryUnreachable, match=f"{words}|{host} {words}") as caught:
                async with transport.get(base.url, {}, verify=base.verify):
                    pass
            assert f"FIRKIN_INSECURE_REGISTRIES={host}" in caught.value.hint


# --- judges -----------------------------------------------------------------------------------------------


def tool(*command: str) -> bytes:
    """What somebody else's program says, which must succeed."""
    ended = subprocess.run(command, capture_output=True, timeout=120)
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout


def write_layout(store: Store, name: str, directory: Path) -> None:
    """The image `name` as an OCI layout (image-layout.md), from nothing but the store's blobs."""
    descriptor = store.resolve(Reference.parse(name))
    assert descriptor is not None
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for path in store.blob_path(descriptor.digest).parent.iterdir():
        os.link(path, blobs / path.name)
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    entry = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size_bytes,
    }
    entry["annotations"] = {"org.opencontainers.image.ref.name": "it"}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


async def test_skopeo_and_umoci_accept_what_was_pulled(
    images: Images, local: LocalImages, tmp_path: Path
) -> None:
    pushed = images.push("judged", [busybox_tar(), TWO], cmd=("sh", "-l"), env=("A=b",))
    await local.pull(pushed.reference)
    layout = tmp_path / "layout"
    write_layout(local.store, pushed.reference, layout)
    tool("skopeo", "copy", f"oci:{layout}:it", f"dir:{tmp_path}/copy")
    seen = json.loads(tool("skopeo", "inspect", "--config", f"oci:{layout}:it"))
    assert (seen["config"]["Cmd"], seen["rootfs"]["diff_ids"]) == (
        ["sh", "-l"],
        [str(d) for d in pushed.config.diff_ids],
    )
    bundle = tmp_path / "bundle"
    tool("umoci", "unpack", "--rootless", "--image", f"{layout}:it", str(bundle))
    assert (bundle / "rootfs/bin/busybox").read_bytes() == Path(shutil.which("busybox") or "").read_bytes()
    assert (bundle / "rootfs/two").read_bytes() == b"2"


async def test_skopeo_accepts_an_index_with_the_one_platform_that_was_pulled(
    images: Images, local: LocalImages, tmp_path: Path
) -> None:
    ours = images.push("judged-index", [ONE], tag="ours")
    theirs = images.push("judged-index", [TWO], tag="theirs", platform=FOREIGN)
    index = images.push_index("judged-index", [ours, theirs])
    await local.pull(index.reference)
    write_layout(local.store, index.reference, tmp_path / "layout")
    tool("skopeo", "copy", f"oci:{tmp_path}/layout:it", f"dir:{tmp_path}/copy")


async def test_skopeo_and_umoci_accept_what_was_imported(local: LocalImages, tmp_path: Path) -> None:
    path = tmp_path / "root.tar"
    path.write_bytes(busybox_tar())
    changes = ['CMD ["sh"]', "ENV A=b", "LABEL x=y", "EXPOSE 80", "WORKDIR /tmp", "STOPSIGNAL SIGINT"]
    image = await local.import_archive(path, "mine:1", changes=changes, message="made by hand")
    write_layout(local.store, "mine:1", tmp_path / "layout")
    source = f"oci:{tmp_path}/layout:it"
    seen = json.loads(tool("skopeo", "inspect", "--config", source))
    assert seen["config"] == {
        "Cmd": ["sh"],
        "Env": ["A=b"],
        "Labels": {"x": "y"},
        "ExposedPorts": {"80/tcp": {}},
        "WorkingDir": "/tmp",
        "StopSignal": "SIGINT",
    }
    assert seen["history"][0]["comment"] == "made by hand"
    stat = json.loads(tool("umoci", "stat", "--json", "--image", f"{tmp_path}/layout:it"))
    assert stat["history"][0]["layer"]["digest"] == str(image.layers[0].digest)


@pytest.mark.parametrize("form", ["oci", "v2s2"])
async def test_what_skopeo_pushed_is_pulled(
    registry: Registry, local: LocalImages, tmp_path: Path, form: str
) -> None:
    image = await local.import_archive(_file(tmp_path, busybox_tar()), "mine:1", changes=['CMD ["sh"]'])
    write_layout(local.store, "mine:1", tmp_path / "layout")
    target = f"docker://{registry.host}/by-skopeo:{form}"
    options = ["--dest-tls-verify=false", "--format", form]
    tool("skopeo", "copy", *options, f"oci:{tmp_path}/layout:it", target)
    pulled = await local.pull(f"{registry.host}/by-skopeo:{form}")
    assert pulled.config.cmd == image.config.cmd
    assert [layer.diff_id for layer in pulled.layers] == [layer.diff_id for layer in image.layers]


def _file(directory: Path, content: bytes) -> Path:
    path = directory / "root.tar"
    path.write_bytes(content)
    return path


@pytest.mark.slow
async def test_debian_arrives_whole(images: Images, local: LocalImages) -> None:
    image = await local.pull(images.debian())
    document = local.store.document(local.store.resolve(Reference.parse(images.debian())))  # type: ignore[arg-type]
    assert not isinstance(document, Index)
    assert image.config.platform == Platform.host()
    assert image.size_bytes > 20 << 20
    assert local.store.is_complete(image)
