"""Images as archives: saved, judged by skopeo, loaded again; also as others write them, and unsound ones."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

import firkin as api
from firkin.engine.image_load import Loaded, load
from firkin.engine.image_save import save
from firkin.engine.images import Images
from firkin.errors import FirkinError, ImageNotFound, Untrusted, UsageError
from firkin.oci.digest import Digest
from firkin.oci.image import Image
from firkin.pytest.command import Command
from firkin.settings import Settings
from tests.support.images import tar_of

TAR = tar_of({"etc": None, "etc/hello": b"hello", "bin/sh": "-> /bin/busybox"})
FORMATS = ["docker-archive", "oci-archive"]


@pytest.fixture
def images(settings: Settings) -> Images:
    return Images(settings)


async def made(images: Images, name: str, *, compress: Callable[[bytes], bytes] = gzip.compress) -> Image:
    changes = [f"LABEL made={name}", "CMD sh"]
    return await images.import_archive(io.BytesIO(compress(TAR)), name, changes=changes)


async def saved(settings: Settings, *names: str, form: Any = "docker-archive") -> bytes:
    target = io.BytesIO()
    await save(settings, names, target, form=form)
    return target.getvalue()


async def loaded(settings: Settings, archive: bytes) -> list[Loaded]:
    return await load(settings, io.BytesIO(archive))


def nothing_is_left(settings: Settings) -> bool:
    paths = settings.paths
    return not any(os.listdir(each) for each in (paths.blobs_dir, paths.ingest_dir) if each.exists())


def files(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        opened = ((each.name, tar.extractfile(each)) for each in tar)
        return {name: file.read() for name, file in opened if file is not None}


def packed(content: dict[str, bytes | str]) -> bytes:
    """A tar of files; of links, where the content is a text."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            if isinstance(data, str):
                info.type, info.linkname = tarfile.SYMTYPE, data
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return target.getvalue()


def skopeo(*words: str) -> bytes:
    ended = subprocess.run(["skopeo", *words], capture_output=True, timeout=120)
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout


@pytest.mark.parametrize("form", FORMATS)
async def test_what_was_saved_is_loaded_as_it_was(settings: Settings, images: Images, form: str) -> None:
    one, two = await made(images, "one"), await made(images, "two:v2")
    images.tag("one", "localhost/again")
    archive = await saved(settings, "one", "two:v2", "localhost/again", str(one.config_digest), form=form)
    assert archive == await saved(settings, "one", "two:v2", "localhost/again", form=form)
    for name in ("localhost/again", "one", "two:v2"):
        await images.remove(name)
    assert nothing_is_left(settings)
    found = await loaded(settings, gzip.compress(archive) if form == "oci-archive" else archive)
    assert {each.image.config_digest for each in found} == {one.config_digest, two.config_digest}
    assert {name for each in found for name in each.names} == {
        "one:latest", "two:v2", "localhost/again:latest",
    }  # fmt: skip
    again = images.find("localhost/again")
    assert again.config == one.config
    if form == "oci-archive":
        assert again.digest == one.digest, "as it was at the registry"


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
async def test_skopeo_takes_what_was_saved_and_what_it_writes_is_taken(
    settings: Settings, images: Images, form: str, compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    image = await made(images, "box", compress=compress)
    archive = tmp_path / "box.tar"
    await save(settings, ["box"], archive, form=form)  # type: ignore[arg-type]  # one of FORMATS
    seen = json.loads(skopeo("inspect", f"{form}:{archive}"))
    assert seen["Labels"] == {"made": "box"}
    assert len(seen["Layers"]) == 1
    config = skopeo("inspect", "--config", "--raw", f"{form}:{archive}")
    assert Digest.of(config) == image.config_digest
    theirs = tmp_path / "theirs.tar"
    skopeo("copy", "-q", f"{form}:{archive}", f"{form}:{theirs}:box:copied")
    await images.remove("box")
    (copied,) = await load(settings, theirs)
    assert copied.names == ("box:copied",)
    assert [each.diff_id for each in copied.image.layers] == [each.diff_id for each in image.layers]


async def test_the_older_and_the_newest_forms_of_docker_are_taken(settings: Settings, images: Images) -> None:
    image = await made(images, "box")
    plain = files(await saved(settings, "box"))
    config = plain[f"{image.config_digest.hex}.json"]
    older = json.dumps([{"Config": "c.json", "RepoTags": ["old/box:1"], "Layers": ["aa/layer.tar"]}]).encode()
    (found,) = await loaded(
        settings,
        packed(
            {"aa/layer.tar": "../bb/layer.tar", "bb/layer.tar": TAR, "c.json": config, "manifest.json": older}
        ),
    )
    assert (found.image.config_digest, found.names) == (image.config_digest, ("old/box:1",))

    layout = files(await saved(settings, "box", form="oci-archive"))
    index = json.loads(layout["index.json"])
    described = {"mediaType": "x", "digest": f"sha256:{'0' * 64}", "size": 0}
    provenance = json.dumps({"schemaVersion": 2, "config": described, "layers": []}).encode()
    unknown = {"os": "unknown", "architecture": "unknown"}
    attested = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": len(provenance),
        "digest": str(Digest.of(provenance)), "platform": unknown,
    }  # fmt: skip
    inner = json.dumps({"schemaVersion": 2, "manifests": [attested, index["manifests"][0]]}).encode()
    outer = {
        "mediaType": "application/vnd.oci.image.index.v1+json", "size": len(inner),
        "digest": str(Digest.of(inner)), "annotations": {"org.opencontainers.image.ref.name": "v3"},
    }  # fmt: skip
    both = {
        **layout, f"blobs/sha256/{Digest.of(inner).hex}": inner,
        f"blobs/sha256/{Digest.of(provenance).hex}": provenance,
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [outer]}).encode(),
        "manifest.json": b"[]",
    }  # fmt: skip
    (found,) = await loaded(settings, packed(both))
    assert (found.image.digest, found.names) == (image.digest, ()), "a tag alone is no name"


def spoiled(archive: dict[str, bytes], kind: str) -> bytes:
    """An archive that should be refused, of a sound one."""
    layer = next((name for name in archive if name.endswith(".tar")), "")
    blob = next((name for name in archive if archive[name].startswith(b"\x1f\x8b")), "")
    entry = json.loads(archive.get("manifest.json", b"[{}]"))[0]
    config = entry.get("Config", "")
    changes: dict[str, dict[str, bytes | None]] = {
        "a layer of other bytes": {layer: TAR[:-512] + b"x" * 512},
        "no layer": {layer: None},
        "a config of another name": {"manifest.json": _listed(entry | {"Config": f"{'0' * 64}.json"}),
                                     f"{'0' * 64}.json": archive.get(config)},
        "too few layers": {"manifest.json": _listed(entry | {"Layers": []})},
        "a path outside": {"manifest.json": _listed(entry | {"Config": "../../etc/passwd"})},
        "a name that is none": {"manifest.json": _listed(entry | {"RepoTags": ["Not A Name"]})},
        "a name by digest": {"manifest.json": _listed(entry | {"RepoTags": [f"a@sha256:{'0' * 64}"]})},
        "no manifest": {"manifest.json": None},
        "no images": {"manifest.json": b"[]"},
        "no JSON": {"manifest.json": b"[" * 100_000},
        "a blob of other bytes": {blob: archive.get(blob, b"")[:-1] + b"x"},
        "no blob": {blob: None},
        "no index": {"index.json": None},
    }  # fmt: skip
    changed: dict[str, bytes | None] = {**archive, **changes[kind]}
    return packed({name: data for name, data in changed.items() if data is not None})


def _listed(entry: dict[str, Any]) -> bytes:
    return json.dumps([entry]).encode()


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        *(("docker-archive", kind) for kind in (
            "a layer of other bytes", "no layer", "a config of another name", "too few layers",
            "a path outside", "a name that is none", "a name by digest", "no manifest", "no images",
            "no JSON",
        )),
        *(("oci-archive", kind) for kind in ("a blob of other bytes", "no blob", "no index")),
    ],
)  # fmt: skip
async def test_of_an_unsound_archive_nothing_is_kept(
    settings: Settings, images: Images, form: str, kind: str
) -> None:
    await made(images, "box")
    archive = files(await saved(settings, "box", form=form))
    await images.remove("box")
    with pytest.raises(FirkinError, match="the archive from a stream") as refused:
        await loaded(settings, spoiled(archive, kind))
    assert refused.value.hint
    assert images.summaries() == []
    assert nothing_is_left(settings)


async def test_what_is_cut_short_or_no_archive_is_refused(settings: Settings, images: Images) -> None:
    await made(images, "box")
    archive = await saved(settings, "box")
    await images.remove("box")
    for bad in (
        b"",
        b"no archive",
        archive[: archive.index(b"manifest.json") + 600],
        gzip.compress(archive)[:-100],
        b"BZh9",
    ):
        with pytest.raises(FirkinError):
            await loaded(settings, bad)
    with pytest.raises(UsageError, match="no-such-file"):
        await load(settings, "no-such-file")
    assert nothing_is_left(settings)


@pytest.mark.parametrize("form", FORMATS)
async def test_the_policy_is_asked_for_the_kind_of_archive(
    settings: Settings, images: Images, form: str
) -> None:
    await made(images, "box")
    archive = await saved(settings, "box", form=form)
    await images.remove("box")
    policy = settings.paths.data.parent / "policy.json"
    settings = msgspec.structs.replace(settings, policy=str(policy))
    accepts, rejects = [{"type": "insecureAcceptAnything"}], [{"type": "reject"}]
    policy.write_text(json.dumps({"default": accepts, "transports": {form: {"": rejects}}}))
    with pytest.raises(Untrusted, match="archive"):
        await loaded(settings, archive)
    assert nothing_is_left(settings)
    policy.write_text(json.dumps({"default": rejects, "transports": {form: {"": accepts}}}))
    assert await loaded(settings, archive)


def test_the_command_and_the_api_do_the_same(firkin: Command, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(TAR)
    image_id = firkin("import", str(tmp_path / "root.tar"), check=True).stdout.strip()
    firkin("tag", image_id, "box:1", check=True)
    firkin("save", "-o", str(tmp_path / "named.tar"), "box:1", check=True)
    firkin("save", "--format", "oci-archive", "-o", str(tmp_path / "by-id.tar"), image_id, check=True)
    firkin("rmi", "-f", image_id, check=True)
    assert firkin("load", "-i", str(tmp_path / "named.tar"), check=True).stdout == "Loaded image: box:1\n"
    by_id = firkin("load", input=(tmp_path / "by-id.tar").read_bytes(), check=True)
    assert by_id.stdout == f"Loaded image ID: {image_id}\n"
    with api.Engine(settings) as engine:
        engine.save_images(["box:1"], tmp_path / "again.tar")
        assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "named.tar").read_bytes()
        assert [str(each.config_digest) for each in engine.load_images(tmp_path / "again.tar")] == [image_id]
    assert firkin("save", "box:1", "--format", "zip").status == 125


async def test_an_image_that_is_not_here_is_not_saved(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ImageNotFound):
        await save(settings, ["nobody"], tmp_path / "out.tar")
    assert not (tmp_path / "out.tar").exists()
