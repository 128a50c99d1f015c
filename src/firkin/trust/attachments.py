"""Attachments: where cosign keeps the signatures of an image: in its repository, as an OCI image under the
tag sha256-<hex>.sig. Each layer is a payload, its signature an annotation (cosign's SIGNATURE_SPEC.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from firkin.errors import Untrusted
from firkin.oci import media_types
from firkin.oci.descriptor import Descriptor, RawDescriptor, decode_json, sound
from firkin.oci.digest import Digest
from firkin.oci.reference import Reference
from firkin.trust.signature import MAX_PAYLOAD_BYTES, Signature

PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE_KEY = "dev.cosignproject.cosign/signature"
MAX_ATTACHMENTS = 256


@dataclass(frozen=True, slots=True)
class Attachment:
    """Where the payload of a signature is, and the signature in base64."""

    payload: Descriptor
    signature: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """What is to be pushed under the tag of `reference`: first the blobs, then the manifest."""

    reference: Reference
    media_type: str
    manifest: bytes
    blobs: tuple[tuple[Descriptor, bytes], ...]


def attachments_of(reference: Reference, digest: Digest) -> Reference:
    """Where the signatures of the manifest `digest` in the repository of `reference` are."""
    return Reference(reference.registry, reference.repository, f"sha256-{digest.hex}.sig")


def read_attachments(manifest: bytes, what: str) -> tuple[Attachment, ...]:
    """The signatures that `manifest` lists; attachments of other kinds are left out.

    Raises Corrupt, or Untrusted where it lists more, or longer ones, than anybody needs.
    """
    layers = decode_json(manifest, _Manifest, what).layers
    if len(layers) > MAX_ATTACHMENTS:
        raise Untrusted(
            f"{what} lists more than {MAX_ATTACHMENTS} attachments", hint="have its publisher remove old ones"
        )
    found = [layer for layer in layers if layer.media_type == PAYLOAD_TYPE]
    if any(layer.size > MAX_PAYLOAD_BYTES for layer in found):
        raise Untrusted(
            f"{what} lists a payload of more than {MAX_PAYLOAD_BYTES} bytes", hint="ask the image's publisher"
        )
    return tuple(
        Attachment(sound(layer.checked, what), (layer.annotations or {}).get(SIGNATURE_KEY, ""))
        for layer in found
    )


def with_attachment(reference: Reference, signature: Signature, manifest: bytes, what: str) -> Artifact:
    """`signature` beside those that `manifest` lists already, if there is any; nothing of these changes."""
    document = decode_json(manifest, dict[str, Any], what) if manifest else {}
    payload = Descriptor(PAYLOAD_TYPE, Digest.of(signature.payload), len(signature.payload))
    mine = _json(RawDescriptor.of(payload)) | {"annotations": {SIGNATURE_KEY: signature.text}}
    layers = [*document.get("layers", ()), mine]
    config = msgspec.json.encode(
        {
            "architecture": "",
            "os": "",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        }
    )
    described = Descriptor(media_types.OCI_CONFIG, Digest.of(config), len(config))
    document |= {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST}
    document |= {"config": _json(RawDescriptor.of(described)), "layers": layers}
    blobs = ((payload, signature.payload), (described, config))
    return Artifact(reference, media_types.OCI_MANIFEST, msgspec.json.encode(document), blobs)


class _Layer(RawDescriptor, frozen=True, rename="camel"):
    annotations: dict[str, str] | None = None


class _Manifest(msgspec.Struct, frozen=True, rename="camel"):
    layers: list[_Layer]


def _json(value: object) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain
