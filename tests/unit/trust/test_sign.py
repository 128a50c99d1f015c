"""Signing: what firkin signs, openssl verifies, and firkin's own check accepts."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from firkin.errors import Corrupt, Untrusted, UsageError
from firkin.oci.digest import Digest
from firkin.oci.reference import Reference
from firkin.trust.attachments import MAX_ATTACHMENTS, Artifact, attachments_of, read_attachments
from firkin.trust.check import check
from firkin.trust.policy_file import parse_policy
from firkin.trust.sign import load_private_key, sign
from firkin.trust.signature import MAX_PAYLOAD_BYTES, Signature
from firkin.trust.subject import Subject
from tests.support.signing import ANNOTATION, KeyPair, key_pair, openssl

REFERENCE = Reference.parse("127.0.0.1:5000/ns/image:1")
DIGEST = Digest.of(b"manifest")


def no_passphrase() -> bytes:
    raise AssertionError("this key needs none")


def signed(key: KeyPair, manifest: bytes = b"", reference: Reference = REFERENCE) -> Artifact | None:
    return sign(reference, DIGEST, load_private_key(key.private_path, no_passphrase), manifest)


def signatures(artifact: Artifact) -> list[Signature]:
    contents = {descriptor.digest: content for descriptor, content in artifact.blobs}
    found = read_attachments(artifact.manifest, "signatures")
    return [Signature(contents.get(each.payload.digest, b""), each.signature) for each in found]


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa", "ed25519"])
def test_what_is_signed_is_verified_by_openssl_and_by_firkin(tmp_path: Path, kind: str) -> None:
    key = key_pair(tmp_path, kind=kind)
    artifact = signed(key)
    assert artifact is not None
    (signature,) = signatures(artifact)
    assert key.verifies(base64.b64decode(signature.text), signature.payload)
    assert not key.verifies(base64.b64decode(signature.text), signature.payload + b" ")
    policy = parse_policy(json.dumps({"default": [key.requirement()]}).encode(), "p")
    check(policy, Subject.of_reference(REFERENCE), DIGEST, [signature])


def test_the_artifact_is_laid_out_as_cosign_does_it(tmp_path: Path) -> None:
    artifact = signed(key_pair(tmp_path))
    assert artifact is not None
    assert str(artifact.reference) == f"127.0.0.1:5000/ns/image:sha256-{DIGEST.hex}.sig"
    manifest = json.loads(artifact.manifest)
    blobs = {str(descriptor.digest): content for descriptor, content in artifact.blobs}
    assert all(str(Digest.of(content)) == digest for digest, content in blobs.items())
    (layer,) = manifest["layers"]
    assert manifest["mediaType"] == artifact.media_type == "application/vnd.oci.image.manifest.v1+json"
    assert layer["mediaType"] == "application/vnd.dev.cosign.simplesigning.v1+json"
    assert layer["size"] == len(blobs[layer["digest"]])
    assert json.loads(blobs[manifest["config"]["digest"]])["rootfs"]["diff_ids"] == [layer["digest"]]
    assert json.loads(blobs[layer["digest"]]) == {
        "critical": {
            "identity": {"docker-reference": "127.0.0.1:5000/ns/image:1"},
            "image": {"docker-manifest-digest": str(DIGEST)},
            "type": "cosign container image signature",
        },
        "optional": {"creator": "firkin"},
    }


def test_a_second_signature_stands_beside_the_first_and_changes_nothing_of_it(tmp_path: Path) -> None:
    first = signed(key_pair(tmp_path, "one"))
    assert first is not None
    manifest = json.loads(first.manifest)
    manifest["annotations"] = {"kept": "as it is"}
    manifest["layers"][0]["annotations"]["dev.sigstore.cosign/bundle"] = "{}"
    manifest["layers"].append(
        {"mediaType": "application/x", "digest": str(DIGEST), "size": 3, "data": "YWJj"}
    )
    second = signed(key_pair(tmp_path, "two"), json.dumps(manifest).encode())
    assert second is not None
    after = json.loads(second.manifest)
    assert after["layers"][:2] == manifest["layers"]
    assert after["annotations"] == manifest["annotations"]
    assert len(read_attachments(second.manifest, "s")) == 2


def test_signing_again_with_the_same_key_changes_nothing(tmp_path: Path) -> None:
    key = key_pair(tmp_path)
    first = signed(key)
    assert first is not None
    assert signed(key, first.manifest) is None
    assert signed(key, first.manifest, Reference.parse("127.0.0.1:5000/ns/image:2")) is not None
    assert signed(key_pair(tmp_path, "other"), first.manifest) is not None


def test_a_signature_that_only_looks_like_ours_is_not_taken_for_it(tmp_path: Path) -> None:
    key = key_pair(tmp_path)
    first = signed(key)
    assert first is not None
    manifest = json.loads(first.manifest)
    manifest["layers"][0]["annotations"][ANNOTATION] = base64.b64encode(b"0" * 70).decode()
    second = signed(key, json.dumps(manifest).encode())
    assert second is not None
    assert len(json.loads(second.manifest)["layers"]) == 2


@pytest.mark.parametrize(
    ("manifest", "error"),
    [
        (b"{", Corrupt),
        (b'{"layers": null}', Corrupt),
        (b'{"schemaVersion": 2}', Corrupt),
        (json.dumps({"layers": [{"mediaType": "x", "digest": "d", "size": 1}] * 257}).encode(), Untrusted),
    ],
)
def test_signatures_that_cannot_be_read_are_not_overwritten(
    tmp_path: Path, manifest: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        signed(key_pair(tmp_path), manifest)


def layer(**changes: Any) -> dict[str, Any]:
    media_type = "application/vnd.dev.cosign.simplesigning.v1+json"
    return {"mediaType": media_type, "digest": str(DIGEST), "size": 3} | changes


def test_attachments_of_other_kinds_are_left_out_and_too_long_ones_refused() -> None:
    def read(*layers: dict[str, Any]) -> int:
        return len(read_attachments(json.dumps({"layers": layers}).encode(), "s"))

    assert read() == 0
    assert read(layer(), layer(mediaType="application/vnd.dsse.envelope.v1+json", size=1 << 30)) == 1
    assert read(*[layer()] * MAX_ATTACHMENTS) == MAX_ATTACHMENTS
    with pytest.raises(Untrusted, match="more than 256 attachments"):
        read(*[layer()] * (MAX_ATTACHMENTS + 1))
    with pytest.raises(Untrusted, match="payload of more than 65536 bytes"):
        read(layer(size=MAX_PAYLOAD_BYTES + 1))
    for bad in (layer(digest="sha256:x"), layer(size=-1), layer(annotations={ANNOTATION: 1}), {}):
        with pytest.raises(Corrupt):
            read(bad)


def test_signatures_lie_in_the_images_repository() -> None:
    pinned = Reference.parse(f"quay.io/a/b:1@{DIGEST}")
    assert str(attachments_of(pinned, DIGEST)) == f"quay.io/a/b:sha256-{DIGEST.hex}.sig"


# --- keys -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("pkey",), ("ec",), ("pkcs8", "-topk8")])
def test_an_encrypted_key_asks_for_its_passphrase_once(tmp_path: Path, words: tuple[str, ...]) -> None:
    key, locked = key_pair(tmp_path), tmp_path / "locked.pem"
    cipher = () if "-topk8" in words else ("-aes256",)
    openssl(*words, "-in", str(key.private_path), *cipher, "-passout", "pass:open", "-out", str(locked))
    asked = []

    def passphrase() -> bytes:
        asked.append(1)
        return b"open"

    signature = load_private_key(locked, passphrase).sign(b"x")
    assert key.verifies(signature, b"x")
    assert asked == [1]
    for wrong in (b"shut", b""):
        with pytest.raises(UsageError, match=r"cannot use the private key .*locked.pem"):
            load_private_key(locked, lambda wrong=wrong: wrong)


@pytest.mark.parametrize("name", ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"])
def test_cosigns_own_format_is_refused_with_a_way_out(tmp_path: Path, name: str) -> None:
    path = tmp_path / "cosign.key"
    path.write_text(f"-----BEGIN {name}-----\nAAAA\n-----END {name}-----\n")
    with pytest.raises(UsageError, match="format of cosign generate-key-pair") as caught:
        load_private_key(path, no_passphrase)
    assert "openssl genpkey" in caught.value.hint
    assert "cosign import-key-pair" in caught.value.hint


def test_the_command_of_the_hint_makes_a_key_that_works(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_private_key(_file(tmp_path, b"nothing"), no_passphrase)
    command = caught.value.hint.partition("make one: ")[2].replace("FILE", str(tmp_path / "made.pem"))
    subprocess.run([*command.split(), "-pass", "pass:x"], check=True, capture_output=True)
    load_private_key(tmp_path / "made.pem", lambda: b"x").sign(b"y")


@pytest.mark.parametrize("kind", ["rsa1024", "secp256k1", "ed448"])
def test_a_key_that_nobody_would_verify_by_does_not_sign(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UsageError, match="firkin signs with ECDSA"):
        load_private_key(key_pair(tmp_path, kind=kind).private_path, no_passphrase)


def test_what_is_no_private_key_is_named(tmp_path: Path) -> None:
    key = key_pair(tmp_path)
    for path, words in (
        (tmp_path / "absent", "cannot read the private key .*absent: No such file"),
        (tmp_path, "cannot read the private key .*: Is a directory"),
        (key.public_path, "cannot use the private key .*key.pub"),
        (_file(tmp_path, b"\0" * 70_000), "too long to be one"),
    ):
        with pytest.raises(UsageError, match=words):
            load_private_key(path, no_passphrase)


def _file(directory: Path, content: bytes) -> Path:
    path = directory / "file"
    path.write_bytes(content)
    return path
