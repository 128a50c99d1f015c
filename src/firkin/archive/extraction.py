"""Extraction: an archive that a container made becomes a tree of this host.

The rule: nothing is made, changed or removed outside the directory, and no link is followed on the way, in it
or to it: each entry is made by its last name in a directory that was opened step by step. A directory and
anything else never take each other's place.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from types import TracebackType

from firkin.archive.entry import HARD_LINK, Entry
from firkin.archive.reader import TarReader
from firkin.errors import Corrupt, FirkinError, StorageFull, UsageError
from firkin.events import event

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_UNKEPT = frozenset({errno.EPERM, errno.EACCES, errno.EOPNOTSUPP})
_MOST_DIRECTORIES = 1 << 20


def extract(archive: Iterable[bytes], directory: str, *, owners: bool = False) -> int:
    """Make a tree of `archive` in `directory`: as this user's, or with `owners` as its headers say.

    Each event of it ("copy.progress", done) may end it. Raises UsageError, StorageFull, Corrupt; what came
    before the entry that failed is there then, and nothing of that entry.
    """
    with _Extraction(directory, owners) as extraction:
        reader = TarReader(archive)
        for entry in reader:
            try:
                extraction.add(entry, reader)
            except OSError as error:
                raise _failed(os.path.join(directory, os.fsdecode(entry.path)), error) from error
        extraction.finish()
        return extraction.done


def _failed(path: str, error: OSError) -> FirkinError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(f"cannot write {path}: {error.strerror}", hint="make room, and copy again")
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return UsageError(f"cannot make {path}: it lies behind a link or a file", hint="remove that first")
    return UsageError(
        f"cannot make {path}: {error.strerror}", hint="`firkin cp CONTAINER:PATH -` gives a tar"
    )


class _Extraction:
    def __init__(self, directory: str, owners: bool) -> None:
        self._directory, self._owners = directory, owners
        self._top = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._parent: tuple[bytes, int] | None = None
        self._late: list[tuple[bytes, Entry]] = []
        self.done = 0

    def __enter__(self) -> _Extraction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        os.close(self._top)

    def add(self, entry: Entry, reader: TarReader) -> None:
        path = b"/".join(_inside(entry.path))
        parent_path, _, name = path.rpartition(b"/")
        if not path:
            return  # the directory itself is the caller's
        parent = self._enter(parent_path)
        if entry.kind == stat.S_IFDIR:
            self._make_directory(parent, name, path, entry)
            return
        self._make_room(parent, name, path)
        if entry.kind == HARD_LINK:
            self._link(parent, name, entry)
        elif entry.kind == stat.S_IFREG:
            self._write(parent, name, entry, reader)
        else:
            self._make_node(parent, name, entry)

    def finish(self) -> None:
        """Directories get their modes and times last: what is made in them needs and changes these."""
        for path, entry in reversed(self._late):
            parent_path, _, name = path.rpartition(b"/")
            fd = os.open(name, _DIRECTORY, dir_fd=self._enter(parent_path))
            try:
                self._describe(fd, entry)
            finally:
                os.close(fd)

    def _leave(self) -> None:
        if self._parent is not None:
            os.close(self._parent[1])
        self._parent = None

    def _enter(self, path: bytes) -> int:
        """The directory at `path`, made where it is missing; open until the next one is asked for."""
        if self._parent is not None and self._parent[0] == path:
            return self._parent[1]
        self._leave()
        fd = os.dup(self._top)
        for name in filter(None, path.split(b"/")):
            above = fd
            try:
                try:
                    fd = os.open(name, _DIRECTORY, dir_fd=above)
                except FileNotFoundError:
                    os.mkdir(name, 0o755, dir_fd=above)
                    fd = os.open(name, _DIRECTORY, dir_fd=above)
            finally:
                os.close(above)
        self._parent = path, fd
        return fd

    def _make_room(self, parent: int, name: bytes, path: bytes) -> None:
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            pass
        except IsADirectoryError as error:
            raise UsageError(
                f"cannot replace the directory {os.path.join(self._directory, os.fsdecode(path))} by a file",
                hint="remove it first, or name another destination",
            ) from error

    def _make_directory(self, parent: int, name: bytes, path: bytes, entry: Entry) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError as error:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise UsageError(
                    f"cannot make a directory of {os.path.join(self._directory, os.fsdecode(path))}",
                    hint="remove the file that is there first, or name another destination",
                ) from error
        if len(self._late) == _MOST_DIRECTORIES:
            raise Corrupt(f"the archive has more than {_MOST_DIRECTORIES} directories")
        self._late.append((path, entry))

    def _link(self, parent: int, name: bytes, entry: Entry) -> None:
        target = b"/".join(_inside(entry.link))
        source_path, _, source = target.rpartition(b"/")
        parent = os.dup(parent)
        try:
            above = self._enter(source_path)
            os.link(source, name, src_dir_fd=above, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(parent)

    def _write(self, parent: int, name: bytes, entry: Entry, reader: TarReader) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=parent)
        try:
            for offset, length in ((0, entry.size),) if entry.sparse is None else entry.sparse:
                os.lseek(fd, offset, os.SEEK_SET)
                self._fill(fd, length, reader)
            os.ftruncate(fd, entry.size)
            self._describe(fd, entry)
        except BaseException:
            os.unlink(name, dir_fd=parent)  # half a file is none
            raise
        finally:
            os.close(fd)

    def _fill(self, fd: int, length: int, reader: TarReader) -> None:
        while length:
            piece = reader.piece(length)
            length -= len(piece)
            self.done += len(piece)
            event("copy.progress", done=self.done)
            while piece:
                piece = piece[os.write(fd, piece) :]

    def _make_node(self, parent: int, name: bytes, entry: Entry) -> None:
        if entry.kind == stat.S_IFLNK:
            os.symlink(entry.link, name, dir_fd=parent)
        else:
            device = os.makedev(entry.major, entry.minor)
            os.mknod(name, entry.kind | 0o600, device, dir_fd=parent)
            os.chmod(name, entry.mode, dir_fd=parent)
        if self._owners:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _describe(self, fd: int, entry: Entry) -> None:
        if self._owners:
            os.fchown(fd, entry.uid, entry.gid)
        os.fchmod(fd, entry.mode)
        for name, value in (entry.xattrs or {}).items():
            try:
                os.setxattr(fd, name, value)
            except OSError as error:
                if error.errno not in _UNKEPT:
                    raise
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))


def _inside(path: bytes) -> list[bytes]:
    """The components of `path`. Raises Corrupt where they lead above the top."""
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            if not parts:
                raise Corrupt(f"archive entry {path!r} leads out of the destination")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return parts
