"""Sign: a sigstore signature of an image, ready to be pushed beside it. For `firkin push
--sign-by-sigstore-private-key FILE`:

    key = load_private_key(path, passphrase)            # before anything is pushed
    where = attachments_of(reference, digest)           # the image is pushed: fetch the manifest at this tag
    artifact = sign(reference, digest, key, manifest)   # b"" where there was none; None: signed already
    # push artifact.blobs, then artifact.manifest, of artifact.media_type, as artifact.reference

Signatures that are there already, of whomever, stay there. An image that is an index is signed itself, and
each manifest in it too, where podman is to accept it: podman looks at the manifest alone.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

from firkin.errors import UsageError
from firkin.oci.digest import Digest
from firkin.oci.reference import Reference
from firkin.trust.attachments import Artifact, attachments_of, read_attachments, with_attachment
from firkin.trust.identity import Identity
from firkin.trust.key import MAX_KEY_BYTES, PrivateKey
from firkin.trust.signature import Claim, NotVerified, Signature, verified


def load_private_key(path: str | Path, passphrase: Callable[[], bytes]) -> PrivateKey:
    """The key in the file `path`; `passphrase` is called if it is encrypted. Raises UsageError."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read the private key {path}: {error.strerror}", hint="name a file in PEM"
        ) from error
    return PrivateKey.load(content, str(path), passphrase)


def sign(reference: Reference, digest: Digest, key: PrivateKey, manifest: bytes = b"") -> Artifact | None:
    """What says, signed by `key`, that `reference` is the manifest `digest`; it goes beside it.

    `manifest` is the one under the tag of the result now. None where that has this very signature. Raises
    Corrupt or Untrusted where it cannot be read: nothing of others' signatures is overwritten.
    """
    where = attachments_of(reference, digest)
    payload = Claim(digest, Identity.of(reference)).encode()
    there = read_attachments(manifest, f"signatures {where}") if manifest else ()
    signatures = [
        Signature(payload, each.signature) for each in there if each.payload.digest == Digest.of(payload)
    ]
    if any(_is_by(key, signature) for signature in signatures):
        return None
    text = base64.b64encode(key.sign(payload)).decode()
    return with_attachment(where, Signature(payload, text), manifest, f"signatures {where}")


def _is_by(key: PrivateKey, signature: Signature) -> bool:
    try:
        verified(signature, (key.public,))
    except NotVerified:
        return False
    return True
