"""Parts: what a tar of images holds, by path, brought into the store in one pass, in whatever order it comes.

    blobs/sha256/<hex>    of an OCI layout, and of what docker writes today: kept only under that digest
    *.tar                 layers of docker's older form, known by their digest at their end
    *.json                small documents, which stay in memory

The rule: nothing of it has a name yet, and a path of the archive names nothing outside of it.
"""

from __future__ import annotations

import posixpath
import re
import stat
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec

from firkin.archive import HARD_LINK, Entry, TarReader
from firkin.errors import Corrupt
from firkin.events import event
from firkin.oci.descriptor import MAX_DOCUMENT_BYTES
from firkin.oci.digest import Digest
from firkin.rootfs.inflate import inflated
from firkin.store.ingest import Ingest
from firkin.store.store import Store

MAX_ENTRIES = 16384
MAX_DOCUMENTS_BYTES = 64 << 20
MAX_UNCOMPRESSED_BYTES = 256 << 30
_MOST_LINKS = 8
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")


class Blob(msgspec.Struct, frozen=True):
    digest: Digest
    size_bytes: int


class Parts:
    """What was found. `documents` and `blobs` are by their paths."""

    def __init__(self, store: Store) -> None:
        self.documents: dict[str, bytes] = {}
        self.blobs: dict[str, Blob] = {}
        self._links: dict[str, str] = {}
        self._store = store
        self._documents_bytes = 0

    def blob(self, path: str) -> Blob:
        """The blob at `path`, or where links there lead. Raises Corrupt."""
        wanted = path = _normal(path)
        for _ in range(_MOST_LINKS):
            if path in self.blobs:
                return self.blobs[path]
            if path not in self._links:
                break
            path = self._links[path]
        raise Corrupt(f"it has no {wanted}")

    def document(self, path: str) -> bytes:
        """The document at `path`. Raises Corrupt."""
        path = _normal(path)
        if path in self.documents:
            return self.documents[path]
        return self._store.read_blob(self.blob(path).digest)

    def take(self, reader: TarReader, entry: Entry) -> None:
        """Keep what is at `entry`, where it is something. Raises Corrupt, DigestMismatch, StorageFull."""
        path = _normal(_text(entry.path))
        if stat.S_ISLNK(entry.kind):
            self._links[path] = _normal(posixpath.join(posixpath.dirname(path), _text(entry.link)))
        elif entry.kind == HARD_LINK:
            self._links[path] = _normal(_text(entry.link))
        elif entry.kind != stat.S_IFREG:
            return
        elif match := _BLOB.fullmatch(path):
            self.blobs[path] = self._ingested(reader, entry, Digest(f"sha256:{match[1]}"))
        elif path.endswith(".tar"):
            self.blobs[path] = self._ingested(reader, entry, None)
        elif path.endswith(".json"):
            self.documents[path] = self._read(reader, entry)

    def _ingested(self, reader: TarReader, entry: Entry, digest: Digest | None) -> Blob:
        if entry.sparse is not None:
            raise Corrupt("it has a blob that is no plain file")
        if digest is None:
            with self._store.ingest_unknown() as ingest:
                return Blob(_filled(ingest, reader), entry.size)
        with self._store.ingest(digest, entry.size) as ingest:
            if not ingest.committed:
                _filled(ingest, reader)
        return Blob(digest, entry.size)

    def _read(self, reader: TarReader, entry: Entry) -> bytes:
        self._documents_bytes += entry.size
        if entry.size > MAX_DOCUMENT_BYTES or self._documents_bytes > MAX_DOCUMENTS_BYTES:
            raise Corrupt(f"its documents have more than {MAX_DOCUMENT_BYTES} bytes each, or too many in all")
        return b"".join(reader.content())


def read_parts(stream: BinaryIO, store: Store) -> Parts:
    """What `stream` holds, a tar that may be compressed by gzip or zstd.

    Raises Corrupt, UnsupportedMediaType, DigestMismatch, StorageFull, InUse.
    """
    parts = Parts(store)
    pieces = _told(inflated(_Rewound(stream)))  # type: ignore[arg-type]  # it reads, and rewinds
    reader = TarReader(pieces)
    for count, entry in enumerate(reader):
        if count >= MAX_ENTRIES:
            raise Corrupt(f"it has more than {MAX_ENTRIES} files")
        parts.take(reader, entry)
    for _ in pieces:
        pass  # whoever writes into a pipe is let finish, and a compressed stream has to end well
    return parts


def _filled(ingest: Ingest, reader: TarReader) -> Digest:
    for piece in reader.content():
        ingest.write(piece)
    return ingest.commit()


def _told(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """`pieces`, told one by one, so that a load that is cancelled ends there."""
    done = 0
    for piece in pieces:
        done += len(piece)
        if done > MAX_UNCOMPRESSED_BYTES:
            raise Corrupt(f"it uncompresses to more than {MAX_UNCOMPRESSED_BYTES >> 30} GiB")
        event("import.progress", done=done)
        yield piece


def _text(path: bytes) -> str:
    return path.decode(errors="replace")


def _normal(path: str) -> str:
    """`path` as the archive's other entries have it."""
    return posixpath.normpath("/" + path).lstrip("/")


class _Rewound:
    """A stream that may be a pipe: what was read before seek(0) is read again."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._start: bytes | None = b""
        self._again = b""

    def read(self, size: int) -> bytes:
        if self._again:
            piece, self._again = self._again[:size], self._again[size:]
            return piece
        piece = self._stream.read(size)
        if self._start is not None:
            self._start += piece
        return piece

    def seek(self, _: int) -> None:
        self._again, self._start = self._start or b"", None
