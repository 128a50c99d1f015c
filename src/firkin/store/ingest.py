"""Ingest: a blob on its way in, hashed as it is written, kept only when it is what it was said to be.

    data/ingest/<hex>     partial of the blob with this digest: at most one, so that nobody fetches it twice
    data/ingest/<uuid>    partial of content whose digest is not known yet

The writer holds a flock on the partial. It is removed when the writer fails; one whose writer was killed
has no lock on it: the next writer of the same blob goes on where it ended, and Store.collect removes it.
"""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from firkin.errors import DigestMismatch, InUse
from firkin.oci.descriptor import MAX_BLOB_BYTES
from firkin.oci.digest import Digest
from firkin.paths import Paths
from firkin.store.files import disk_errors, require_space, sync_dir
from firkin.store.lock import try_flock

_HASH_CHUNK_BYTES = 1 << 20
_IOV_MAX = 1024


class Ingest:
    """The one writer of one partial. `offset` is how much of it is there and hashed.

    Its methods may be called from any thread. Closing waits for the one that runs, and those that come later
    fail: so a task may be cancelled while a thread still writes for it.
    """

    def __init__(
        self, paths: Paths, path: Path, fd: int, digest: Digest | None, size_bytes: int | None
    ) -> None:
        self.digest = digest
        self.size_bytes = size_bytes
        self.offset = 0
        self.committed = False
        """True from commit() on, or from the start where somebody else brought the blob in before."""
        self._paths = paths
        self._path = path
        self._fd = fd
        self._hash = hashlib.sha256()
        self._begun = False
        self._named = True  # until the rename: after it the partial's name may belong to the next writer
        self._turn = threading.Lock()

    def resume(self) -> int:
        """Take up what a writer who was killed left behind, hashing it; where to go on."""
        with self._turn, disk_errors(self._path):
            while chunk := os.read(self._fd, _HASH_CHUNK_BYTES):
                self._hash.update(chunk)
                self.offset += len(chunk)
            self._begun = True
            if self.offset > self._limit_bytes:
                self._restart()
            return self.offset

    def write(self, *chunks: bytes | memoryview) -> None:
        """Append `chunks`; to nothing, where there was no resume() before.

        Raises DigestMismatch where the blob becomes longer than promised, StorageFull.
        """
        with self._turn:
            if not self._begun:
                self._restart()
            self._append(chunks)

    def restart(self) -> None:
        """Forget what was written."""
        with self._turn:
            self._restart()

    def read_back(self) -> BinaryIO:
        """What was written so far, open for reading from its start; the caller closes it."""
        with disk_errors(self._path):
            return open(self._path, "rb")

    def commit(self) -> Digest:
        """Keep the blob, synced, 0444, under its digest, which is returned. Does nothing when `committed`.

        Raises DigestMismatch where its digest or size is not the promised one: then nothing is kept.
        """
        with self._turn:
            found = Digest("sha256:" + self._hash.hexdigest())
            if self.committed:
                return self.digest or found
            self._check(found)
            target = self._paths.blobs_dir / found.hex
            with disk_errors(target, self.offset):
                self._move(target)
            self.committed = True
            return found

    def close(self) -> None:
        """Let go, and remove what is not committed. May be called twice."""
        with self._turn:
            if self._fd < 0:
                return
            if self._named:
                self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1

    def _append(self, chunks: Sequence[bytes | memoryview]) -> None:
        size = sum(map(len, chunks))
        if self.offset + size > self._limit_bytes:
            raise DigestMismatch(
                f"blob {self.digest or '(new)'} has more than the promised {self._limit_bytes} bytes",
                hint="what sends it is broken or lies: try again, or ask its operator",
            )
        with disk_errors(self._path, self._limit_bytes - self.offset if self.size_bytes else size):
            _write_all(self._fd, chunks)
        for chunk in chunks:
            self._hash.update(chunk)
        self.offset += size

    def _restart(self) -> None:
        with disk_errors(self._path):
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
        self._hash = hashlib.sha256()
        self._begun = True
        self.offset = 0

    def _move(self, target: Path) -> None:
        if not self._begun:
            self._restart()
        os.fsync(self._fd)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.rename(target)
        self._named = False
        os.fchmod(self._fd, 0o444)  # after the rename: a partial stays open to the next writer, come what may
        sync_dir(target.parent)

    @property
    def _limit_bytes(self) -> int:
        return MAX_BLOB_BYTES if self.size_bytes is None else self.size_bytes

    def _check(self, found: Digest) -> None:
        if self.size_bytes is not None and self.offset != self.size_bytes:
            raise DigestMismatch(
                f"blob {self.digest} ended after {self.offset} of {self.size_bytes} bytes",
                hint="what sends it is broken: try again, or ask its operator",
            )
        if self.digest is not None and found != self.digest:
            raise DigestMismatch(
                f"blob {self.digest} has the digest {found}",
                hint="what sends it is broken or lies: try again, or ask its operator",
            )


@contextmanager
def open_ingest(paths: Paths, digest: Digest | None, size_bytes: int | None) -> Iterator[Ingest]:
    """An Ingest that is ready to be written to; what is not committed when the block ends is removed.

    Raises InUse at once where another writer, of this process or another, has this blob in work.
    """
    path = paths.ingest_dir / (digest.hex if digest else str(uuid.uuid4()))
    ingest = Ingest(paths, path, _open_locked(path), digest, size_bytes)
    try:
        if digest and (paths.blobs_dir / digest.hex).exists():
            ingest.committed = True
        else:
            require_space(path, (size_bytes or 0) - path.stat().st_size)
        yield ingest
    finally:
        ingest.close()


def lock_partial(path: Path, *, create: bool) -> int | None:
    """An open descriptor that holds the lock of the partial `path`; None where another writer holds it.

    The lock is good only if the name still belongs to the file it was taken on: the last holder may have
    renamed or removed the file in between. Raises FileNotFoundError where there is none and `create` is not
    set.
    """
    # Without `create` it may be a swept blob, which its owner may read but not write.
    flags = os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_RDWR | os.O_CREAT if create else os.O_RDONLY)
    while True:
        fd = os.open(path, flags, 0o600)
        try:
            if not try_flock(fd):
                os.close(fd)
                return None
            if _names(path, fd):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _write_all(fd: int, chunks: Sequence[bytes | memoryview]) -> None:
    """Write all chunks, by as few calls as writev(2) allows: each costs a wait for the interpreter's lock."""
    for start in range(0, len(chunks), _IOV_MAX):
        some = chunks[start : start + _IOV_MAX]
        short = sum(map(len, some)) - os.writev(fd, some)
        if short:  # a full disk takes a part; the next call says ENOSPC
            rest = memoryview(b"".join(some))[-short:]
            while rest:
                rest = rest[os.write(fd, rest) :]


def _open_locked(path: Path) -> int:
    with disk_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = lock_partial(path, create=True)
    if fd is None:
        raise InUse(f"blob sha256:{path.name} is being fetched by somebody else", hint="wait for them to end")
    return fd


def _names(path: Path, fd: int) -> bool:
    """Whether the name `path` still belongs to the open file `fd`."""
    try:
        named = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(fd))
