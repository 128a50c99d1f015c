"""Packing: a tree of this host becomes an archive, with all that a container can take on.

The rule: nothing is followed but, when asked, the top; what changes while it is read is an error, not a
guess. Names come in the order of their bytes, so that the same tree always gives the same archive.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import closing

from firkin.archive.entry import HARD_LINK, Entry
from firkin.archive.sparse import REGION_LIMIT
from firkin.archive.writer import headers, is_storable, padding
from firkin.errors import Conflict, FirkinError, NotFound, UsageError

_PIECE_BYTES = 1 << 18
_SECTOR_BYTES = 512
_Known = dict[tuple[int, int], bytes]


def pack(path: str, name: bytes, *, follow: bool = False) -> Iterator[bytes]:
    """The archive's bytes for what lies at `path`, called `name` in it; "" stands for what is in a directory.

    Without its end, so that more may follow. Raises NotFound, UsageError, Conflict where it changes.
    """
    top = os.path.realpath(path) if follow else path
    yield from _object(os.fsencode(top), name, {})


def _object(path: bytes, name: bytes, known: _Known) -> Iterator[bytes]:
    try:
        status = os.lstat(path)
        if not is_storable(stat.S_IFMT(status.st_mode)):
            return  # a socket is what a process listens on
        if name:
            yield from _one(path, name, status, known)
        if stat.S_ISDIR(status.st_mode):
            prefix = name + b"/" if name else b""
            for child in sorted(os.listdir(path)):
                yield from _object(path + b"/" + child, prefix + child, known)
    except OSError as error:
        raise _failed(path, error) from error


def _failed(path: bytes, error: OSError) -> FirkinError:
    shown = os.fsdecode(path)
    if isinstance(error, FileNotFoundError):
        return NotFound(f"no such file or directory: {shown}", hint="look for a typing error")
    return UsageError(f"cannot read {shown}: {error.strerror}", hint="only what you may read can be copied")


def _one(path: bytes, name: bytes, status: os.stat_result, known: _Known) -> Iterator[bytes]:
    kind = stat.S_IFMT(status.st_mode)
    entry = Entry(
        name, kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, 0, status.st_mtime_ns, b""
    )
    if kind != stat.S_IFDIR and status.st_nlink > 1:
        first = known.setdefault((status.st_dev, status.st_ino), name)
        if first != name:
            entry.kind, entry.link = HARD_LINK, first
            yield headers(entry)
            return
    if kind == stat.S_IFLNK:
        entry.link = os.readlink(path)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        entry.major, entry.minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    elif kind == stat.S_IFDIR:
        entry.path += b"/"
    entry.xattrs = _xattrs(path)
    if kind == stat.S_IFREG:
        yield from _file(path, entry, status)
    else:
        yield headers(entry)


def _xattrs(path: bytes) -> dict[bytes, bytes]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return {}
        raise
    return {os.fsencode(name): os.getxattr(path, name, follow_symlinks=False) for name in names}


def _file(path: bytes, entry: Entry, status: os.stat_result) -> Iterator[bytes]:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with closing(os.fdopen(fd, "rb", buffering=0)) as file:
        opened = os.fstat(fd)
        if (opened.st_dev, opened.st_ino) != (status.st_dev, status.st_ino):
            raise _changed(path)
        entry.size = opened.st_size
        if opened.st_blocks * _SECTOR_BYTES < entry.size:
            entry.sparse = _regions(fd, entry.size)
        yield headers(entry)
        regions = ((0, entry.size),) if entry.sparse is None else entry.sparse
        for offset, length in regions:
            file.seek(offset)
            left = length
            while left:
                piece = file.read(min(left, _PIECE_BYTES))
                if not piece:
                    raise _changed(path)
                left -= len(piece)
                yield piece
        yield padding(sum(length for _, length in regions))


def _changed(path: bytes) -> Conflict:
    return Conflict(f"{os.fsdecode(path)} changed while it was read", hint="copy it again")


def _regions(fd: int, size: int) -> tuple[tuple[int, int], ...] | None:
    """What is not a hole; None where there is none, or too many. An empty last one: a hole ends it."""
    regions: list[tuple[int, int]] = []
    at = 0
    try:
        while at < size:
            start = _seek_data(fd, at, size)
            at = size if start == size else min(os.lseek(fd, start, os.SEEK_HOLE), size)
            regions.append((start, at - start))
            if len(regions) > REGION_LIMIT:
                return None
    except OSError:
        return None  # a file system that does not tell
    return None if regions == [(0, size)] else tuple(regions)


def _seek_data(fd: int, at: int, size: int) -> int:
    try:
        return min(os.lseek(fd, at, os.SEEK_DATA), size)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return size
        raise
