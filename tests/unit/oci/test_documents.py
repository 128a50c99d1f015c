"""Manifests, indexes and configs from registries that we don't trust."""

from __future__ import annotations

import json
from typing import Any

import pytest

from firkin.errors import Corrupt, FirkinError, PlatformNotFound, UnsupportedMediaType
from firkin.oci import media_types as types
from firkin.oci.descriptor import MAX_DOCUMENT_BYTES, Descriptor
from firkin.oci.digest import Digest
from firkin.oci.image import Image, chain_id
from firkin.oci.image_config import ImageConfig, decode_config, encode_config
from firkin.oci.manifest import Index, Manifest, check_is_image, decode, encode_index, encode_manifest
from firkin.oci.platform import Platform

ONE, TWO, THREE = (Digest.of(content) for content in (b"1", b"2", b"3"))


def descriptor(media_type: str, digest: Digest = ONE, size: Any = 7, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(digest), "size": size, **more}


def manifest_json(**changes: Any) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": types.OCI_MANIFEST,
        "config": descriptor(types.OCI_CONFIG, annotations={"a": "b"}),
        "layers": [
            descriptor(types.OCI_LAYER_ZSTD, TWO, urls=["http://elsewhere"]),
            descriptor(types.OCI_LAYER, THREE),
        ],
    }
    return json.dumps(
        {key: value for key, value in (document | changes).items() if value is not None}
    ).encode()


def index_of(*platforms: str | None) -> Index:
    entries = [
        Descriptor(types.OCI_MANIFEST, Digest.of(str(n).encode()), n, Platform.parse(text) if text else None)
        for n, text in enumerate(platforms)
    ]
    return Index(types.OCI_INDEX, tuple(entries))


def test_a_manifest_survives_encoding() -> None:
    manifest = decode(manifest_json(), types.OCI_MANIFEST, "it")
    assert isinstance(manifest, Manifest)
    assert [layer.digest for layer in manifest.layers] == [TWO, THREE]
    assert decode(encode_manifest(manifest), "", "it") == manifest


def test_an_index_survives_encoding() -> None:
    index = index_of("linux/amd64", "linux/arm64", None)
    assert decode(encode_index(index), types.OCI_INDEX, "it") == index


@pytest.mark.parametrize(
    ("content", "served_as", "error", "words"),
    [
        (b"{", types.OCI_MANIFEST, Corrupt, "image x cannot be read"),
        (b"\xff", types.OCI_MANIFEST, Corrupt, "cannot be read"),
        (b"[" * 200_000, types.OCI_MANIFEST, Corrupt, "cannot be read"),
        (b'{"schemaVersion":2,"x":' + b"[" * 200_000, types.OCI_MANIFEST, Corrupt, "cannot be read"),
        (b" " * (MAX_DOCUMENT_BYTES + 1), types.OCI_MANIFEST, Corrupt, "more than"),
        (manifest_json(schemaVersion=1), "", UnsupportedMediaType, "schema version 1"),
        (manifest_json(mediaType="text/x-odd"), "", UnsupportedMediaType, "text/x-odd"),
        (manifest_json(mediaType=types.OCI_INDEX), types.OCI_MANIFEST, Corrupt, "calls itself"),
        (manifest_json(manifests=[]), types.OCI_MANIFEST, Corrupt, "both a manifest and an index"),
        (manifest_json(config=None), types.OCI_MANIFEST, Corrupt, "no config"),
        (manifest_json(layers=[descriptor(types.OCI_LAYER, size=-1)]), "", Corrupt, "size"),
        (manifest_json(layers=[descriptor(types.OCI_LAYER, size=1 << 62)]), "", Corrupt, "size"),
        (manifest_json(layers=[descriptor(types.OCI_LAYER, size="7")]), "", Corrupt, "size"),
        (manifest_json(layers=[{**descriptor(types.OCI_LAYER), "digest": "md5:1"}]), "", Corrupt, "md5:1"),
        (manifest_json(layers=[descriptor(types.OCI_LAYER)] * 513), "", Corrupt, "more than 512 layers"),
    ],
)
def test_a_bad_document_is_refused_by_name(
    content: bytes, served_as: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        decode(content, served_as, "image x")
    assert "image x" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "layer", ["application/x-odd", types.OCI_LAYER.replace("layer.", "layer.nondistributable.")]
)
def test_a_layer_of_unknown_or_foreign_type_is_refused_by_its_type(layer: str) -> None:
    manifest = decode(manifest_json(layers=[descriptor(layer)]), "", "it")
    with pytest.raises(UnsupportedMediaType, match=layer.replace("+", r"\+")):
        check_is_image(manifest, "it")  # type: ignore[arg-type]


def test_an_artifact_is_not_taken_for_an_image() -> None:
    manifest = decode(
        manifest_json(config=descriptor("application/vnd.cncf.helm.config.v1+json")), "", "chart"
    )
    with pytest.raises(UnsupportedMediaType, match=r"chart is not a container image.*helm"):
        check_is_image(manifest, "chart")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], 1),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64"], 1),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], 1),
        ("linux/arm64", ["linux/arm64/v8"], 0),
        ("linux/arm64/v8", ["linux/amd64", "linux/arm64"], 1),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v8"], 1),
        ("linux/amd64", ["linux/amd64", "linux/amd64"], 0),
        ("linux/amd64", ["linux/arm64", None], 1),
    ],
)
def test_an_index_gives_the_best_manifest_that_the_platform_runs(
    wanted: str, offered: list[str | None], chosen: int
) -> None:
    assert index_of(*offered).select(Platform.parse(wanted), "x").size_bytes == chosen


def test_a_platform_that_is_missing_is_told_together_with_those_that_exist() -> None:
    index = index_of("linux/arm64", "linux/s390x", "unknown/unknown")
    with pytest.raises(PlatformNotFound) as caught:
        index.select(Platform.parse("linux/amd64"), "image x")
    assert (
        str(caught.value) == "image x has no image for linux/amd64: it exists for linux/arm64/v8, linux/s390x"
    )


def config_json(**changes: Any) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [str(ONE)]}
    return json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs, **changes}).encode()


def test_dockers_nulls_and_strings_are_read() -> None:
    run = {
        "Cmd": None,
        "Entrypoint": "/init",
        "Env": None,
        "Labels": None,
        "ExposedPorts": None,
        "User": None,
    }
    config = decode_config(config_json(config=run, container_config=run, docker_version="1"), "it")
    assert (config.entrypoint, config.cmd, config.env, config.labels) == (("/init",), (), (), {})


def test_a_config_survives_encoding() -> None:
    config = ImageConfig(
        platform=Platform.parse("linux/arm64"),
        diff_ids=(ONE, TWO),
        created="2026-01-02T03:04:05Z",
        user="1:2",
        env=("A=b",),
        entrypoint=("/e",),
        cmd=("c", ""),
        working_dir="/w",
        stop_signal="SIGINT",
        labels={"k": "v"},
        exposed_ports=("80/tcp",),
        volumes=("/data",),
    )
    assert decode_config(encode_config(config), "it") == config


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        config_json(rootfs={"type": "layers", "diff_ids": ["x"]}),
        config_json(config={"Env": ["A=\0"]}),
        config_json(config={"Cmd": [1]}),
    ],
)
def test_a_bad_config_is_corrupt(content: bytes) -> None:
    with pytest.raises(Corrupt, match="image x"):
        decode_config(content, "image x")


def test_an_image_whose_config_names_other_layers_is_refused() -> None:
    manifest = decode(manifest_json(), "", "it")
    assert isinstance(manifest, Manifest)
    with pytest.raises(FirkinError, match="has 2 layers, but its config names 1"):
        Image.of(Descriptor(types.OCI_MANIFEST, ONE, 1), manifest, decode_config(config_json(), "it"))


def test_the_chain_id_of_one_layer_is_its_diff_id_and_of_more_the_hash_of_the_chain() -> None:
    assert chain_id([ONE]) == ONE
    assert chain_id([ONE, TWO]) == Digest.of(f"{ONE} {TWO}".encode())
    assert chain_id([ONE, TWO, THREE]) == Digest.of(f"{Digest.of(f'{ONE} {TWO}'.encode())} {THREE}".encode())
