"""Whatever a registry sends as a manifest, index or config is understood, or refused by an error of ours."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from firkin.errors import FirkinError
from firkin.oci import media_types as types
from firkin.oci.descriptor import Descriptor, decode_descriptor, encode_descriptor
from firkin.oci.digest import Digest
from firkin.oci.image import Image
from firkin.oci.image_config import ImageConfig, decode_config, encode_config
from firkin.oci.manifest import Index, Manifest, decode, encode_index, encode_manifest
from firkin.oci.platform import Platform

KEYS = (
    "schemaVersion mediaType config layers manifests digest size platform os architecture variant urls rootfs"
    " type diff_ids created author history Env Cmd Entrypoint Labels User ExposedPorts Volumes WorkingDir"
)
KNOWN = [types.OCI_MANIFEST, types.OCI_INDEX, types.OCI_CONFIG, types.OCI_LAYER, types.DOCKER_MANIFEST]
digests = st.binary(max_size=4).map(Digest.of)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from([*KNOWN, "linux", "amd64", "arm64", "v8", "layers", 2]),
    digests.map(str),
)
keys = st.one_of(st.sampled_from(KEYS.split()), st.text(max_size=4))
documents = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=8)),
    max_leaves=30,
)
served = st.sampled_from([*KNOWN, "", "text/html"])
platforms = st.sampled_from(["linux/amd64", "linux/arm64", "linux/arm/v6", "linux/amd64/v3"]).map(
    Platform.parse
)
descriptors = st.builds(
    Descriptor, st.sampled_from(KNOWN), digests, st.integers(0, 1 << 40), st.none() | platforms
)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
words = st.lists(texts, max_size=3).map(tuple)
configs = st.builds(
    ImageConfig,
    platform=platforms,
    diff_ids=st.lists(digests, max_size=3).map(tuple),
    user=texts,
    env=words,
    entrypoint=words,
    cmd=words,
    working_dir=texts,
    labels=st.dictionaries(texts, texts, max_size=3),
    exposed_ports=st.lists(texts, max_size=3, unique=True).map(tuple),
)


@given(documents, served)
def test_any_json_is_a_document_or_an_error_of_ours(content: Any, media_type: str) -> None:
    raw = json.dumps(content).encode()
    with contextlib.suppress(FirkinError):
        document = decode(raw, media_type, "it")
        if isinstance(document, Index):
            document.select(Platform.parse("linux/amd64"), "it")
    with contextlib.suppress(FirkinError):
        decode_config(raw, "it")


@given(st.binary(max_size=200), served)
def test_any_bytes_are_a_document_or_an_error_of_ours(raw: bytes, media_type: str) -> None:
    for read in (lambda: decode(raw, media_type, "it"), lambda: decode_config(raw, "it")):
        with contextlib.suppress(FirkinError):
            read()


@given(descriptors)
def test_a_descriptor_survives_encoding(descriptor: Descriptor) -> None:
    assert decode_descriptor(encode_descriptor(descriptor), "it") == descriptor


@given(st.lists(descriptors, max_size=4).map(tuple), descriptors)
def test_manifests_and_indexes_survive_encoding(entries: tuple[Descriptor, ...], config: Descriptor) -> None:
    manifest = Manifest(types.OCI_MANIFEST, config, entries)
    assert decode(encode_manifest(manifest), types.OCI_MANIFEST, "it") == manifest
    index = Index(types.DOCKER_INDEX, entries)
    assert decode(encode_index(index), "", "it") == index


@given(configs)
def test_a_config_survives_encoding(config: ImageConfig) -> None:
    assert decode_config(encode_config(config), "it") == config


@given(configs, st.lists(descriptors, max_size=3).map(tuple))
def test_an_image_has_the_layers_of_both_or_is_refused(
    config: ImageConfig, layers: tuple[Descriptor, ...]
) -> None:
    manifest = Manifest(types.OCI_MANIFEST, Descriptor(types.OCI_CONFIG, Digest.of(b""), 0), layers)
    with contextlib.suppress(FirkinError):
        image = Image.of(Descriptor(types.OCI_MANIFEST, Digest.of(b"m"), 1), manifest, config)
        assert len(image.layers) == len(layers) == len(config.diff_ids) > 0
        assert image.chain_id.hex
