"""Keys by openssl, and signatures as cosign lays them out, made by hand: what firkin's own have to equal."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firkin.oci.digest import Digest
from firkin.pytest.registry import Registry

PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
ANNOTATION = "dev.cosignproject.cosign/signature"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
KINDS = {
    "p256": ("EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "p384": ("EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "p521": ("EC", "-pkeyopt", "ec_paramgen_curve:P-521"),
    "rsa": ("RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "rsa1024": ("RSA", "-pkeyopt", "rsa_keygen_bits:1024"),
    "ed25519": ("ed25519",),
    "ed448": ("ed448",),
    "secp256k1": ("EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"),
}


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A pair of files, by `openssl genpkey`."""

    private_path: Path
    public_path: Path
    kind: str = "p256"

    def sign(self, content: bytes) -> bytes:
        """What openssl makes of it."""
        file = self.private_path.with_suffix(".signed")
        file.write_bytes(content)
        if self.kind.startswith("ed"):
            command = ["pkeyutl", "-sign", "-rawin", "-inkey", str(self.private_path), "-in", str(file)]
        else:
            command = ["dgst", "-sha256", "-sign", str(self.private_path), str(file)]
        return openssl(*command)

    def verifies(self, signature: bytes, content: bytes) -> bool:
        """Whether openssl says so."""
        file, signed = self.private_path.with_suffix(".content"), self.private_path.with_suffix(".sig")
        file.write_bytes(content)
        signed.write_bytes(signature)
        command = ["dgst", "-sha256", "-verify", str(self.public_path), "-signature", str(signed), str(file)]
        if self.kind.startswith("ed"):
            command = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(self.public_path)]
            command += ["-sigfile", str(signed), "-in", str(file)]
        return subprocess.run(["openssl", *command], capture_output=True, check=False).returncode == 0

    def requirement(self, **more: Any) -> dict[str, Any]:
        """What a policy asks who wants a signature of this key."""
        return {"type": "sigstoreSigned", "keyPath": str(self.public_path)} | more


def key_pair(directory: Path, name: str = "key", kind: str = "p256") -> KeyPair:
    pair = KeyPair(directory / f"{name}.pem", directory / f"{name}.pub", kind)
    openssl("genpkey", "-algorithm", *KINDS[kind], "-out", str(pair.private_path))
    openssl("pkey", "-in", str(pair.private_path), "-pubout", "-out", str(pair.public_path))
    return pair


def openssl(*words: str) -> bytes:
    ended = subprocess.run(["openssl", *words], capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout


def payload(digest: Digest, identity: str, **changes: Any) -> bytes:
    """What is signed, in the words of cosign's specification; `changes` are at its top level."""
    critical = {
        "identity": {"docker-reference": identity},
        "image": {"docker-manifest-digest": str(digest)},
        "type": "cosign container image signature",
    }
    return json.dumps({"critical": critical, "optional": None} | changes).encode()


def attach(
    registry: Registry, repository: str, digest: Digest, *signatures: tuple[bytes, Mapping[str, str]]
) -> None:
    """Put payloads with their annotations where cosign puts them."""
    layers = [
        {
            "mediaType": PAYLOAD_TYPE,
            "size": len(content),
            "digest": str(registry.put_blob(repository, content)),
            "annotations": dict(annotations),
        }
        for content, annotations in signatures
    ]
    config = json.dumps(
        {
            "architecture": "",
            "created": "0001-01-01T00:00:00Z",
            "history": [{"created": "0001-01-01T00:00:00Z"}] * len(layers),
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
            "config": {},
        }
    ).encode()
    described = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "size": len(config),
        "digest": str(registry.put_blob(repository, config)),
    }
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": layers}
    tag = f"sha256-{digest.hex}.sig"
    registry.put_manifest(repository, tag, json.dumps(manifest).encode(), OCI_MANIFEST)


def signed(key: KeyPair, content: bytes) -> tuple[bytes, dict[str, str]]:
    """`content` and its annotation, for `attach`."""
    return content, {ANNOTATION: base64.b64encode(key.sign(content)).decode()}


def policy(path: Path, *requirements: Mapping[str, Any], scopes: Mapping[str, Any] | None = None) -> Path:
    """Write a policy with these requirements by default, and for `scopes` of docker."""
    content: dict[str, Any] = {"default": list(requirements)}
    if scopes is not None:
        content["transports"] = {"docker": dict(scopes)}
    path.write_text(json.dumps(content))
    return path
