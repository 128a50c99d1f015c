"""OciArchive: an artifact as one file, a tar of an OCI image layout (OCI image spec, image-layout.md).

    oci-layout, index.json, blobs/sha256/<hex>...       what skopeo and podman call oci-archive

It is written with the index first, and read in any order, once, so a pipe will do. Every blob is hashed on
its way into the store and kept only under the digest that it has.
"""

from __future__ import annotations

import io
import re
import stat
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import msgspec

from firkin.archive import Entry, TarReader
from firkin.errors import Corrupt, IntegrityError
from firkin.events import event
from firkin.oci.descriptor import MAX_DOCUMENT_BYTES, Descriptor, RawDescriptor
from firkin.oci.digest import Digest
from firkin.oci.manifest import Index, Manifest, decode
from firkin.oci.media_types import OCI_INDEX
from firkin.store.store import Store

MAX_ENTRIES = 4096
_LAYOUT = {"imageLayoutVersion": "1.0.0"}
NAME_KEY = "org.opencontainers.image.ref.name"
_BLOB = re.compile(rb"blobs/sha256/([0-9a-f]{64})")
_CHUNK_BYTES = 1 << 20


def write_archive(
    file: BinaryIO, store: Store, manifests: Sequence[tuple[Descriptor, dict[str, str]]]
) -> None:
    """Write artifacts and images by their manifests, all of which is in `store`, to `file`.

    The index has them with these annotations; the same make the same bytes. Raises OSError, ImageNotFound.
    """
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        add_document(tar, "oci-layout", msgspec.json.encode(_LAYOUT))
        add_document(tar, "index.json", _index(manifests))
        for blob in _blobs(store, [manifest for manifest, _ in manifests]):
            with store.open_blob(blob.digest) as content:
                info = tarfile.TarInfo(f"blobs/sha256/{blob.digest.hex}")
                info.size = blob.size_bytes
                tar.addfile(info, content)
            event("snapshot.written", digest=str(blob.digest), total=blob.size_bytes)


def _blobs(store: Store, manifests: Iterable[Descriptor]) -> Iterable[Descriptor]:
    """All that `manifests` need, each once."""
    found: dict[Digest, Descriptor] = {}
    for manifest in manifests:
        document = store.document(manifest)
        assert isinstance(document, Manifest)  # neither an artifact nor an image is an index
        found |= {each.digest: each for each in (manifest, document.config, *document.layers)}
    return found.values()


def read_archive(chunks: Iterable[bytes], store: Store, what: str) -> Descriptor:
    """Bring the blobs of an archive into `store`; the manifest that its index names.

    Raises Corrupt where `what` is no such archive, or names several; DigestMismatch, StorageFull, InUse.
    """
    try:
        index = _read(TarReader(_told(chunks)), store)
    except IntegrityError as error:
        raise type(error)(f"{what} cannot be read: {error}", hint=error.hint or _HINT) from error
    if not index:
        raise Corrupt(f"{what} is not an OCI archive: it has no index.json", hint=_HINT)
    document = decode(index, OCI_INDEX, f"the index of {what}")
    if not isinstance(document, Index) or len(document.manifests) != 1:
        raise Corrupt(f"{what} has more than one thing in it, or none", hint=_HINT)
    return document.manifests[0]


def _read(reader: TarReader, store: Store) -> bytes:
    """The index of an archive, whose blobs are in `store` then; nothing where it has none."""
    index = b""
    for count, entry in enumerate(reader):
        if count >= MAX_ENTRIES:
            raise Corrupt(f"it has more than {MAX_ENTRIES} files")
        path = entry.path.removeprefix(b"./")
        if path == b"index.json":
            index = _document(reader, entry)
        elif match := _BLOB.fullmatch(path):
            _ingest(reader, entry, Digest(f"sha256:{match[1].decode()}"), store)
    return index


_HINT = "write one with `firkin snapshot export`"


def _told(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """`chunks`, told one by one, so that an import that is cancelled ends there."""
    done = 0
    for chunk in chunks:
        done += len(chunk)
        event("import.progress", done=done)
        yield chunk


def _document(reader: TarReader, entry: Entry) -> bytes:
    if entry.size > MAX_DOCUMENT_BYTES:
        raise Corrupt(f"its index has more than {MAX_DOCUMENT_BYTES} bytes")
    return b"".join(reader.content())


def _ingest(reader: TarReader, entry: Entry, digest: Digest, store: Store) -> None:
    if entry.kind != stat.S_IFREG or entry.sparse is not None:
        raise Corrupt(f"its blob {digest} is no plain file")
    with store.ingest(digest, entry.size) as ingest:
        if not ingest.committed:
            for piece in reader.content():
                ingest.write(piece)
            ingest.commit()


def _index(manifests: Iterable[tuple[Descriptor, dict[str, str]]]) -> bytes:
    entries = []
    for manifest, said in manifests:
        annotated = {"annotations": said} if said else {}
        entries.append(msgspec.to_builtins(RawDescriptor.of(manifest)) | annotated)
    return msgspec.json.encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})


def add_document(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Put `content` into `tar` as the file `name`."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
