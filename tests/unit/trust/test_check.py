"""The verdict: signatures that cosign, skopeo and openssl made, and everything that is wrong with others."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firkin.errors import Untrusted
from firkin.oci.digest import Digest
from firkin.oci.reference import Reference
from firkin.trust.check import check, check_unsigned, wants_signatures
from firkin.trust.policy import Policy
from firkin.trust.policy_file import parse_policy
from firkin.trust.signature import MAX_PAYLOAD_BYTES, MAX_SIGNATURE_CHARS, Signature
from firkin.trust.subject import Subject
from tests.support.signing import KeyPair, key_pair, payload

DATA = Path(__file__).parent / "data"
COSIGN_REPOSITORY = "192.168.64.2:5000/cosign-signed-single-sample"
SKOPEO_REFERENCE = "192.168.64.2:5000/skopeo-signed:tag"
REFERENCE = Reference.parse("quay.io/ns/image:1")
DIGEST, OTHER = Digest.of(b"manifest"), Digest.of(b"another")


def recorded(name: str) -> Signature:
    content = json.loads((DATA / f"{name}.json").read_text())
    text = content["annotations"]["dev.cosignproject.cosign/signature"]
    return Signature(base64.b64decode(content["payload"]), text)


def policy_of(*requirements: dict[str, Any]) -> Policy:
    return parse_policy(json.dumps({"default": list(requirements)}).encode(), "/p.json")


def by_cosign(key: str = "cosign.pub", rule: str = "matchRepository") -> Policy:
    identity = {"type": rule}
    return policy_of(
        {"type": "sigstoreSigned", "keyPath": str(DATA / key), "signedIdentity": identity},
    )


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return key_pair(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return key_pair(tmp_path_factory.mktemp("stranger"))


def made(key: KeyPair, content: bytes) -> Signature:
    return Signature(content, base64.b64encode(key.sign(content)).decode())


def verdict(policy: Policy, *signatures: Signature, digest: Digest = DIGEST) -> str:
    """What is said against it, "" where it is accepted."""
    try:
        check(policy, Subject.of_reference(REFERENCE), digest, signatures)
    except Untrusted as error:
        return str(error)
    return ""


# --- what others made -------------------------------------------------------------------------------------

MANIFEST_DIGEST = Digest.of((DATA / "manifest.json").read_bytes())


def test_what_cosign_signed_is_accepted_where_its_repository_is_enough() -> None:
    subject = Subject.of_reference(Reference.parse(COSIGN_REPOSITORY + ":any"))
    check(by_cosign(), subject, MANIFEST_DIGEST, [recorded("by-cosign")])
    with pytest.raises(Untrusted, match=r"is of 192.*sample, which matchRepoDigestOrExact does not accept"):
        check(by_cosign(rule="matchRepoDigestOrExact"), subject, MANIFEST_DIGEST, [recorded("by-cosign")])


def test_what_skopeo_signed_is_accepted_for_its_tag_alone() -> None:
    policy = by_cosign(rule="matchExact")
    subject = Subject.of_reference(Reference.parse(SKOPEO_REFERENCE))
    check(policy, subject, MANIFEST_DIGEST, [recorded("by-skopeo")])
    moved = Subject.of_reference(Reference.parse(SKOPEO_REFERENCE + "2"))
    with pytest.raises(Untrusted, match="which matchExact does not accept"):
        check(policy, moved, MANIFEST_DIGEST, [recorded("by-skopeo")])


def test_what_cosign_also_wrote_to_a_log_is_accepted_by_its_key() -> None:
    digest = Digest.of((DATA / "manifest2.json").read_bytes())
    subject = Subject.of_reference(Reference.parse("192.168.64.2:5000/cosign-signed/key-1"))
    check(by_cosign("cosign2.pub"), subject, digest, [recorded("by-cosign2-with-log")])


def test_a_signature_of_cosigns_by_a_key_that_the_policy_does_not_know_is_refused() -> None:
    subject = Subject.of_reference(Reference.parse(COSIGN_REPOSITORY))
    for signature, trusted in (("by-unknown-key", "cosign.pub"), ("by-cosign", "cosign2.pub")):
        with pytest.raises(Untrusted, match="not made by a key of the policy"):
            check(by_cosign(trusted), subject, MANIFEST_DIGEST, [recorded(signature)])


def test_one_good_signature_among_bad_ones_is_enough() -> None:
    subject = Subject.of_reference(Reference.parse(COSIGN_REPOSITORY))
    signatures = [recorded("by-unknown-key"), Signature(b"{}", "AAAA"), recorded("by-cosign")]
    check(by_cosign(), subject, MANIFEST_DIGEST, signatures)


# --- what is wrong with a signature -----------------------------------------------------------------------


def test_every_alteration_of_what_was_signed_is_refused(key: KeyPair) -> None:
    good = made(key, payload(DIGEST, str(REFERENCE)))
    policy = policy_of(key.requirement())
    assert verdict(policy, good) == ""
    assert f"is of another manifest, {DIGEST}, not of {OTHER}" in verdict(policy, good, digest=OTHER)
    for position in range(len(good.payload)):
        flipped = bytearray(good.payload)
        flipped[position] ^= 1
        assert "altered" in verdict(policy, replace(good, payload=bytes(flipped)))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (lambda text: "", "no signature in its annotation"),
        (lambda text: text[:-1], "not in base64"),
        (lambda text: text[:-4], "altered"),
        (lambda text: text + "\n", "not in base64"),
        (lambda text: text.replace(text[5], "é", 1), "not in base64"),
        (lambda text: "-_-_" + text[4:], "not in base64"),
        (lambda text: "A" * (MAX_SIGNATURE_CHARS + 4), "too long to be one"),
        (lambda text: base64.b64encode(b"\0" * 70).decode(), "altered"),
        (lambda text: base64.b64encode(b"0\x06\x02\x01\x01\x02\x01\x01").decode(), "altered"),
    ],
)
def test_what_is_no_signature_is_refused(key: KeyPair, text: Any, complaint: str) -> None:
    good = made(key, payload(DIGEST, str(REFERENCE)))
    assert complaint in verdict(policy_of(key.requirement()), replace(good, text=text(good.text)))


@pytest.mark.parametrize(
    ("identity", "accepted"),
    [("quay.io/ns/image:1", True), ("quay.io/ns/image:2", False), ("quay.io/ns/image", False),
     ("quay.io/ns/other:1", False), ("docker.io/ns/image:1", False), ("not an image", False), ("", False)],
)  # fmt: skip
def test_a_signature_for_another_image_is_refused(key: KeyPair, identity: str, accepted: bool) -> None:
    assert (verdict(policy_of(key.requirement()), made(key, payload(DIGEST, identity))) == "") is accepted


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        payload(DIGEST, str(REFERENCE), extra=1),
        payload(DIGEST, str(REFERENCE), optional=[]),
        payload(DIGEST, str(REFERENCE), optional={"creator": 1}),
        payload(DIGEST, str(REFERENCE), optional={"timestamp": "now"}),
        payload(DIGEST, str(REFERENCE), optional={"timestamp": 1.5}),
        payload(DIGEST, str(REFERENCE), critical=None),
        payload(DIGEST, str(REFERENCE)).replace(b', "optional": null', b""),
        payload(DIGEST, str(REFERENCE)).replace(b"cosign container", b"atomic container"),
        payload(DIGEST, str(REFERENCE)).replace(b"sha256:", b"sha512:"),
        payload(DIGEST, str(REFERENCE)).replace(b'"docker-reference"', b'"docker-references"'),
        payload(DIGEST, str(REFERENCE)).replace(
            b'{"docker-manifest', b'{"docker-manifest-digest": "x", "docker-manifest'
        ),
        payload(DIGEST, str(REFERENCE)) + b"{}",
        b"[" * 60_000,
    ],
)
def test_a_payload_that_is_malformed_is_refused_whoever_signed_it(key: KeyPair, content: bytes) -> None:
    assert "malformed" in verdict(policy_of(key.requirement()), made(key, content))


def test_a_payload_may_carry_remarks(key: KeyPair) -> None:
    for timestamp in (1657296609, 2.0):
        remarks = {"creator": "somebody", "timestamp": timestamp, "build": {"id": 7}}
        signature = made(key, payload(DIGEST, str(REFERENCE), optional=remarks))
        assert verdict(policy_of(key.requirement()), signature) == ""


def test_a_payload_that_is_too_long_is_not_even_verified(key: KeyPair) -> None:
    content = payload(DIGEST, str(REFERENCE), optional={"a": "x" * MAX_PAYLOAD_BYTES})
    assert "too long" in verdict(policy_of(key.requirement()), made(key, content))


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa", "ed25519"])
def test_a_signature_of_each_kind_of_key_is_verified(tmp_path: Path, kind: str) -> None:
    key = key_pair(tmp_path, kind=kind)
    good = made(key, payload(DIGEST, str(REFERENCE)))
    policy = policy_of(key.requirement())
    assert verdict(policy, good) == ""
    assert "altered" in verdict(policy, replace(good, payload=good.payload + b" "))


# --- what a policy asks -----------------------------------------------------------------------------------


def test_every_requirement_has_to_be_met(key: KeyPair, stranger: KeyPair) -> None:
    both = policy_of(key.requirement(), {"type": "insecureAcceptAnything"}, stranger.requirement())
    content = payload(DIGEST, str(REFERENCE))
    mine, theirs = made(key, content), made(stranger, content)
    assert verdict(both, theirs, mine) == ""
    assert "not made by a key" in verdict(both, mine)
    assert "not made by a key" in verdict(both, theirs)
    assert f"it has no sigstore signature (of {DIGEST})" in verdict(both)


@pytest.mark.parametrize("form", ["keyPaths", "keyData", "keyDatas"])
def test_keys_may_be_several_and_in_the_policy_itself(key: KeyPair, stranger: KeyPair, form: str) -> None:
    pem = base64.b64encode(key.public_path.read_bytes()).decode()
    other = base64.b64encode(stranger.public_path.read_bytes()).decode()
    value: Any = {
        "keyPaths": [str(stranger.public_path), str(key.public_path)],
        "keyData": pem,
        "keyDatas": [other, pem],
    }[form]
    policy = policy_of({"type": "sigstoreSigned", form: value})
    assert verdict(policy, made(key, payload(DIGEST, str(REFERENCE)))) == ""


def test_a_key_that_cannot_be_used_refuses_all_even_beside_a_good_one(key: KeyPair, tmp_path: Path) -> None:
    good = made(key, payload(DIGEST, str(REFERENCE)))
    garbage = tmp_path / "garbage.pub"
    garbage.write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    huge = tmp_path / "huge.pub"
    huge.write_bytes(key.public_path.read_bytes() + b"\n" * (64 << 10))
    cases = {
        str(tmp_path / "absent.pub"): "cannot read the policy's key .*absent.pub: No such file",
        str(garbage): "cannot use the policy's key .*garbage.pub: it is not a public key in PEM",
        str(key.private_path): "is not a public key in PEM",
        str(huge): "not a kind of key that firkin verifies with",
        "relative.pub": "relative.pub: its path is not absolute",
    }
    for path, complaint in cases.items():
        policy = policy_of({"type": "sigstoreSigned", "keyPaths": [str(key.public_path), path]})
        with pytest.raises(Untrusted, match=complaint):
            check(policy, Subject.of_reference(REFERENCE), DIGEST, [good])


@pytest.mark.parametrize("kind", ["rsa1024", "secp256k1", "ed448"])
def test_a_key_that_is_weak_or_strange_is_refused(tmp_path: Path, kind: str) -> None:
    policy = policy_of(key_pair(tmp_path, kind=kind).requirement())
    assert "not a kind of key that firkin verifies with" in verdict(policy)


@pytest.mark.parametrize(
    ("requirement", "reason"),
    [
        ({"type": "reject"}, "the policy rejects it"),
        ({"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}, "GPG signature .* cannot verify"),
        (
            {
                "type": "sigstoreSigned",
                "rekorPublicKeyPath": "/r",
                "fulcio": {"caPath": "/c", "oidcIssuer": "https://i", "subjectEmail": "a@b"},
            },
            "by fulcio, which firkin cannot verify",
        ),
        ({"type": "sigstoreSigned", "pki": {"caRootsPath": "/c"}}, "by pki, which firkin cannot verify"),
        (
            {"type": "sigstoreSigned", "keyPath": "/k", "rekorPublicKeyPath": "/r"},
            "by rekorPublicKey, which firkin cannot verify",
        ),
        (
            {"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchRepository"}},
            "signedBaseLayer.* nobody can verify",
        ),
    ],
)
def test_what_firkin_cannot_verify_is_refused_before_anything_is_fetched(
    key: KeyPair, requirement: dict[str, Any], reason: str
) -> None:
    subject = Subject.of_reference(REFERENCE)
    for policy in (policy_of(requirement), policy_of({"type": "insecureAcceptAnything"}, requirement)):
        with pytest.raises(Untrusted, match=f"quay.io/ns/image:1 is refused by .*/p.json.*{reason}"):
            wants_signatures(policy, subject)
        with pytest.raises(Untrusted, match=reason):
            check(policy, subject, DIGEST, [made(key, payload(DIGEST, str(REFERENCE)))])


def test_what_needs_no_signature_needs_no_key_either(tmp_path: Path) -> None:
    subject = Subject.of_reference(REFERENCE)
    assert not wants_signatures(policy_of({"type": "insecureAcceptAnything"}), subject)
    assert wants_signatures(policy_of({"type": "sigstoreSigned", "keyPath": "/absent"}), subject)


def test_an_archive_without_signatures_is_refused_where_one_is_asked_for(key: KeyPair) -> None:
    tarball = Subject.of_tarball("x.tar")
    check_unsigned(policy_of({"type": "insecureAcceptAnything"}), tarball)
    with pytest.raises(Untrusted, match=r"archive x.tar is refused .*: it carries no signature"):
        check_unsigned(policy_of(key.requirement()), tarball)


def test_an_archive_with_a_signature_is_accepted_for_an_identity_that_the_policy_names(
    key: KeyPair, tmp_path: Path
) -> None:
    archive = Subject.of_oci_archive(tmp_path / "x.tar")
    signature = made(key, payload(DIGEST, str(REFERENCE)))
    exact = {"type": "exactReference", "dockerReference": str(REFERENCE)}
    check(policy_of(key.requirement(signedIdentity=exact)), archive, DIGEST, [signature])
    policy = policy_of(key.requirement(signedIdentity={"type": "matchRepository"}))
    with pytest.raises(Untrusted, match="matchRepository does not accept"):
        check(policy, archive, DIGEST, [signature])


def test_many_bad_signatures_do_not_make_a_long_error(key: KeyPair) -> None:
    policy = policy_of(key.requirement())
    signatures = [made(key, payload(DIGEST, f"quay.io/ns/other:{n}")) for n in range(9)]
    assert verdict(policy, *signatures).endswith("; and 6 more")
