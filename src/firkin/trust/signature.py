"""Signature: a sigstore signature of an image, and the Claim that it makes: this digest is that image.

What is signed is the payload: "simple signing" JSON with cosign's type (containers-signature(5), cosign's
SIGNATURE_SPEC.md). Nothing in it means anything before its signature is verified.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from firkin.errors import UsageError
from firkin.oci.digest import Digest
from firkin.trust.identity import Identity
from firkin.trust.key import PublicKey
from firkin.trust.strict_json import NotStrict, decode

MAX_PAYLOAD_BYTES = 64 << 10
MAX_SIGNATURE_CHARS = 8 << 10
CREATOR = "firkin"


@dataclass(frozen=True, slots=True)
class Signature:
    """Untrusted: a payload, and in base64 what is said to be a signature over it ("" where nothing is)."""

    payload: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What a payload says: the manifest of this digest is the image of this identity."""

    digest: Digest
    identity: Identity

    def encode(self) -> bytes:
        """The payload that says so, the same bytes for the same claim."""
        image, identity = _Image(str(self.digest)), _Identity(str(self.identity))
        return msgspec.json.encode(_Payload(_Critical(identity, image), _Optional(CREATOR)))

    @classmethod
    def decode(cls, payload: bytes) -> Claim:
        """What a verified payload says. Raises NotStrict."""
        critical = decode(payload, _Payload, MAX_PAYLOAD_BYTES).critical
        try:
            digest = Digest.parse(critical.image.docker_manifest_digest)
            return cls(digest, Identity.parse(critical.identity.docker_reference))
        except UsageError as error:
            raise NotStrict(str(error)) from error


class NotVerified(ValueError):
    """Why a signature proves nothing."""


def verified(signature: Signature, keys: tuple[PublicKey, ...]) -> Claim:
    """What `signature` says, once one of `keys` is known to have signed it. Raises NotVerified."""
    if not signature.text:
        raise NotVerified("an attachment has no signature in its annotation")
    if len(signature.text) > MAX_SIGNATURE_CHARS or len(signature.payload) > MAX_PAYLOAD_BYTES:
        raise NotVerified("a signature is too long to be one")
    try:
        binary = base64.b64decode(signature.text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise NotVerified("a signature is not in base64") from error
    if not any(key.verifies(binary, signature.payload) for key in keys):
        raise NotVerified("a signature was not made by a key of the policy, or its payload was altered")
    try:
        return Claim.decode(signature.payload)
    except NotStrict as error:
        raise NotVerified(f"a signed payload is malformed: {error}") from error


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"): ...


class _Identity(_Strict, frozen=True):
    docker_reference: str


class _Image(_Strict, frozen=True):
    docker_manifest_digest: str


class _Critical(_Strict, frozen=True):
    identity: _Identity
    image: _Image
    type: Literal["cosign container image signature"] = "cosign container image signature"


class _Optional(msgspec.Struct, frozen=True, omit_defaults=True):
    """Remarks. Any are allowed; these have a type."""

    creator: str | UnsetType = UNSET
    timestamp: float | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.timestamp is not UNSET and not self.timestamp.is_integer():
            raise ValueError("timestamp is not a whole number of seconds")


class _Payload(_Strict, frozen=True):
    critical: _Critical
    optional: _Optional | None
