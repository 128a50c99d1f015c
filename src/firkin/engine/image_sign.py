"""ImageSign: signatures of what was just pushed, beside it in the same repository.

Of an index itself, and of each manifest in it, since podman looks at the manifest alone. Signatures that are
there already stay there.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from firkin.errors import ImageNotFound
from firkin.events import event
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.oci.manifest import Index
from firkin.oci.reference import Reference
from firkin.registry.client import RegistryClient
from firkin.store.store import Store
from firkin.trust.attachments import Artifact, attachments_of
from firkin.trust.key import PrivateKey
from firkin.trust.sign import sign as signature_of


async def sign(
    client: RegistryClient, reference: Reference, pushed: Descriptor, store: Store, key: PrivateKey
) -> None:
    """Say, signed by `key`, that `reference` is `pushed`. Raises Corrupt, Untrusted, and as a push does."""
    document = store.document(pushed)
    inner = document.manifests if isinstance(document, Index) else ()
    for digest in dict.fromkeys((pushed.digest, *(entry.digest for entry in inner))):
        where = attachments_of(reference, digest)
        artifact = signature_of(reference, digest, key, await _there(client, where))
        if artifact is not None:
            manifest = Descriptor(artifact.media_type, Digest.of(artifact.manifest), len(artifact.manifest))
            await client.push(where, manifest, _Blobs(artifact))
        event("image.signed", reference=str(reference), digest=str(digest), where=str(where))


async def _there(client: RegistryClient, where: Reference) -> bytes:
    """The manifest of the signatures that are there already; nothing where there are none."""
    try:
        return (await client.resolve(where)).content
    except ImageNotFound:
        return b""


class _Blobs:
    """The new parts of an artifact; the old ones are at the registry."""

    def __init__(self, artifact: Artifact) -> None:
        contents = (artifact.manifest, *(content for _, content in artifact.blobs))
        self._contents = {Digest.of(content): content for content in contents}

    def read_blob(self, digest: Digest) -> bytes:
        return self._contents[digest]

    def open_blob(self, digest: Digest) -> BinaryIO:
        if digest not in self._contents:
            raise ImageNotFound(
                f"the signature {digest} is gone from the registry", hint="push the image again"
            )
        file = os.fdopen(os.memfd_create("firkin", os.MFD_CLOEXEC), "w+b")
        file.write(self._contents[digest])
        file.flush()
        return file
