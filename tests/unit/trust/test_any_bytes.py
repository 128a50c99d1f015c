"""Whatever bytes come as a signature: an answer, or the error that the caller expects."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.errors import Corrupt, Untrusted
from firkin.oci.digest import Digest
from firkin.trust.attachments import PAYLOAD_TYPE, SIGNATURE_KEY, read_attachments
from firkin.trust.identity import Identity
from firkin.trust.key import PublicKey
from firkin.trust.signature import Claim, NotVerified, Signature, verified
from firkin.trust.strict_json import NotStrict

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
WORDS = st.sampled_from(
    ["critical", "optional", "identity", "image", "type", "docker-reference", "docker-manifest-digest"]
)
PAYLOADS = st.binary(max_size=80) | st.dictionaries(
    WORDS,
    JSON | st.dictionaries(WORDS, JSON | st.dictionaries(WORDS, JSON, max_size=2), max_size=3),
    max_size=3,
).map(lambda value: json.dumps(value).encode())
LAYERS = st.fixed_dictionaries(
    {},
    optional={
        "mediaType": st.just(PAYLOAD_TYPE) | JSON,
        "digest": st.just(str(Digest.of(b""))) | JSON,
        "size": st.integers(-1, 1 << 70) | JSON,
        "annotations": st.dictionaries(st.just(SIGNATURE_KEY), JSON) | JSON,
    },
)


@given(PAYLOADS)
def test_any_payload_makes_a_claim_or_none(payload: bytes) -> None:
    try:
        claim = Claim.decode(payload)
    except NotStrict:
        return
    assert Claim.decode(claim.encode()) == claim


@given(
    st.from_regex(r"[a-z]{1,9}\.io(:[0-9]{1,5})?/[a-z0-9]{1,8}", fullmatch=True),
    st.sampled_from([":latest", ":1", "@" + str(Digest.of(b"x"))]),
    st.binary(),
)
def test_a_claim_is_what_its_payload_says(name: str, suffix: str, content: bytes) -> None:
    claim = Claim(Digest.of(content), Identity.parse(name + suffix))
    assert Claim.decode(claim.encode()) == claim


@given(st.binary(max_size=80) | st.lists(LAYERS | JSON, max_size=4))
def test_any_manifest_lists_attachments_or_is_refused(layers: bytes | list[Any]) -> None:
    content = layers if isinstance(layers, bytes) else json.dumps({"layers": layers}).encode()
    try:
        found = read_attachments(content, "signatures")
    except (Corrupt, Untrusted):
        return
    assert all(isinstance(each.signature, str) for each in found)


@given(st.binary(max_size=80), st.text(max_size=40))
def test_no_text_is_a_signature_by_a_key_that_never_signed(payload: bytes, text: str) -> None:
    with pytest.raises(NotVerified):
        verified(Signature(payload, text), KEYS)


@given(st.binary(max_size=200))
def test_no_bytes_are_a_key_by_accident(content: bytes) -> None:
    with pytest.raises(Untrusted):
        PublicKey.load(b"-----BEGIN PUBLIC KEY-----\n" + content, "it")


KEYS = tuple(
    PublicKey.load(pem.encode(), "ours")
    for pem in (
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEFNLqFhf4fiN6o/glAuYnq2jYUeL0\n"
        "vRuLu/z39pmbVwS9ff5AYnlwaP9sxREajdLY9ynM6G1sy6AAmb7Z63TsLg==\n-----END PUBLIC KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
        "-----END PUBLIC KEY-----\n",
    )
)
