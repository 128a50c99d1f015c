"""Push: what a descriptor names, from the store into a repository.

The order is that of trust, backwards: blobs first, then the manifests that name them, an index last. So
whoever pulls the name meanwhile gets the old image or the new one, whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from firkin.errors import Corrupt
from firkin.events import event
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.oci.manifest import Index, Manifest, decode
from firkin.registry.refusal import BlobUnknown
from firkin.registry.repository import RETRY_PAUSES_S, Question, Repository
from firkin.registry.upload import Kind, check_digest, push_blob


class ReadsBlobs(Protocol):
    """What a push needs of a store. What the registry has already is never opened."""

    def open_blob(self, digest: Digest, /) -> BinaryIO: ...
    def read_blob(self, digest: Digest, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or index: what it is called, its bytes, and what they mean."""

    digest: Digest
    content: bytes
    value: Manifest | Index


async def push_all(
    repository: Repository,
    tag: str,
    descriptor: Descriptor,
    store: ReadsBlobs,
    *,
    parallel: int,
    sources: Mapping[Digest, str],
) -> None:
    """Make `tag` of `repository` stand for `descriptor`, all of which is in `store`.

    `sources` are repositories of the same registry that may hold a blob. Raises ImageNotFound where one is
    not here, and what push_blob raises; then the tag stands for what it stood for.
    """
    documents = _documents(descriptor, store)
    for pause_s in RETRY_PAUSES_S:
        try:
            return await _push_once(repository, tag, documents, store, parallel, sources)
        except BlobUnknown:  # one went meanwhile, or is being brought by somebody else too
            event("registry.waiting", host=repository.host, seconds=pause_s)
            await asyncio.sleep(pause_s)
    await _push_once(repository, tag, documents, store, parallel, sources)


async def _push_once(
    repository: Repository,
    tag: str,
    documents: list[Document],
    store: ReadsBlobs,
    parallel: int,
    sources: Mapping[Digest, str],
) -> None:
    """The blobs that are not there, then the documents. Raises BlobUnknown where one is there no more."""
    await _push_blobs(repository, documents, store, max(1, parallel), sources)
    *inner, named = documents
    for document in inner:
        await _put_document(repository, document, str(document.digest))
    await _put_document(repository, named, tag)


def _documents(descriptor: Descriptor, store: ReadsBlobs) -> list[Document]:
    """The manifests of an index, and the index; or the manifest alone. Each once."""
    named = _document(descriptor, store)
    if isinstance(named.value, Manifest):
        return [named]
    inner = {entry.digest: _document(entry, store) for entry in named.value.manifests}
    if any(isinstance(document.value, Index) for document in inner.values()):
        raise Corrupt(f"image {descriptor.digest} is an index inside an index", hint="ask its publisher")
    return [*inner.values(), named]


def _document(descriptor: Descriptor, store: ReadsBlobs) -> Document:
    content = store.read_blob(descriptor.digest)
    what = f"image {descriptor.digest}"
    return Document(descriptor.digest, content, decode(content, descriptor.media_type, what))


async def _push_blobs(
    repository: Repository,
    documents: Iterable[Document],
    store: ReadsBlobs,
    parallel: int,
    sources: Mapping[Digest, str],
) -> None:
    places = asyncio.Semaphore(parallel)

    async def push(blob: Descriptor, kind: Kind) -> None:
        async with places:
            source = sources.get(blob.digest, "")
            await push_blob(repository, blob, store.open_blob, kind=kind, source=source)

    manifests = [each.value for each in documents if isinstance(each.value, Manifest)]
    blobs: dict[Digest, tuple[Descriptor, Kind]] = {}
    for manifest in manifests:
        blobs |= {layer.digest: (layer, "layer") for layer in manifest.layers}
        blobs[manifest.config.digest] = (manifest.config, "config")
    try:
        async with asyncio.TaskGroup() as group:
            for blob, kind in blobs.values():
                group.create_task(push(blob, kind))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors.exceptions[0].__cause__


async def _put_document(repository: Repository, document: Document, name: str) -> None:
    question = Question(
        "PUT",
        repository.url(f"manifests/{name}"),
        f"manifest {name} to {repository.name}",
        {"Content-Type": document.value.media_type},
        frozenset({201, 202}),
        document.content,
        "push",
    )
    async with repository.ask(question) as response:
        check_digest(response, document.digest, repository.host)
