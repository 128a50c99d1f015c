"""LayerStream: the tar bytes of one layer, inflated in a thread and hashed in another while they are read.

Inflating and hashing release the interpreter's lock, so two cores are kept busy by what is one stream.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from typing import BinaryIO, Self

from firkin.errors import DigestMismatch, StorageFull
from firkin.oci.digest import Digest
from firkin.rootfs.inflate import inflated
from firkin.rootfs.pipe import Abandoned, Pipe
from firkin.units import format_size

_DEPTH = 12


class LayerStream:
    """Iterate over it once, then `verify()`. A context manager: its threads end with the block.

    `blob` stays the caller's, and must outlive the block. `read_bytes` is how much of it was used.
    """

    def __init__(self, blob: BinaryIO) -> None:
        self._blob = blob
        self._pieces: Pipe[bytes] = Pipe(_DEPTH)
        self._hashing: Pipe[bytes] = Pipe(_DEPTH)
        self._failure: BaseException | None = None
        self._hash = hashlib.sha256()
        self._threads = [
            threading.Thread(target=self._inflate, name="firkin-inflate", daemon=True),
            threading.Thread(target=self._digest, name="firkin-digest", daemon=True),
        ]
        self.read_bytes = 0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pieces.abandon()
        for thread in self._threads:
            thread.join()

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._pieces.get()) is not None:
            yield piece
        if self._failure is not None:
            raise self._failure

    def verify(self, diff_id: Digest) -> None:
        """After the last piece: whether the layer uncompressed to what its image's config promised.

        Raises DigestMismatch.
        """
        self._threads[1].join()
        found = Digest("sha256:" + self._hash.hexdigest())
        if found != diff_id:
            raise DigestMismatch(
                f"a layer uncompresses to {found}, not to {diff_id} as the image's config says",
                hint="the image is broken: its publisher has to mend it",
            )

    def _inflate(self) -> None:
        try:
            for piece in inflated(self._blob):
                self.read_bytes = self._blob.tell()
                self._hashing.put(piece)
                self._pieces.put(piece)
        except Abandoned:
            pass
        except BaseException as error:  # raised again by __iter__, in the thread that reads
            self._failure = error
        self._hashing.close()
        self._pieces.close()

    def _digest(self) -> None:
        while (piece := self._hashing.get()) is not None:
            self._hash.update(piece)


class Budget:
    """How many bytes layers may still uncompress to: the wall against a small blob that holds terabytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = self._left = limit_bytes

    def metered(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The same pieces. Raises StorageFull when they are more than was left."""
        for piece in pieces:
            self._left -= len(piece)
            if self._left < 0:
                raise StorageFull(
                    f"the layers uncompress to more than {format_size(self._limit)}, too much for the disk",
                    hint="ask for a larger disk, if you trust the image",
                )
            yield piece
