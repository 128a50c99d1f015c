"""Upper: what was written over a file system that is only read, from a tar of overlayfs's upper directory.

    character device 0:0         a whiteout: what has its name below is removed
    trusted.overlay.opaque = y   a directory that hides the one below with all that is in it, as all in it do
    all else                     is there, in place of what has its name below
(Documentation/filesystems/overlayfs.rst.) Told as snapshot.diff tells it, or written as an OCI layer.

The rule: the tar comes from a guest, so no path of it leads out, and what it says is counted. What overlayfs
keeps for itself is in no layer.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from firkin.archive import HARD_LINK, Entry, TarReader
from firkin.archive.writer import END_OF_ARCHIVE, headers, padding
from firkin.errors import Corrupt, UsageError
from firkin.events import event
from firkin.ext4.reader.file_system import FileSystem
from firkin.ext4.reader.inode import Inode
from firkin.snapshot.diff import ADDED, CHANGED, DELETED, Change, Kind
from firkin.snapshot.layer_tar import check_name, whiteout
from firkin.snapshot.trail import Trail

Path = tuple[bytes, ...]

_OWN, _ESCAPED = b"trusted.overlay.", b"trusted.overlay.overlay."
_OPAQUE = b"trusted.overlay.opaque"
_ELSEWHERE = (b"trusted.overlay.redirect", b"trusted.overlay.metacopy")
_MOST_ENTRIES = 1 << 22
_LARGEST_BYTES = 16 << 40
"""A file of ext4."""
_PIECE_BYTES = 1 << 20
_ZEROS = bytes(1 << 16)


class Found(NamedTuple):
    """One name that was written, or is hidden."""

    path: Path
    kind: Kind | None
    """None for a directory that is as the one below, whatever is in it."""
    entry: Entry | None
    """None for what was removed. Its content is read before the next is asked for."""


class Upper:
    """One pass over `archive`, the tar of an upper directory, in which `.` is itself, above `below`.

    Raises Corrupt.
    """

    def __init__(
        self, archive: Iterable[bytes], below: FileSystem, *, apart_from: Collection[str] = ()
    ) -> None:
        """Nothing is told of the paths `apart_from` and what is in them."""
        self.reader = TarReader(archive)
        self._below, self._trail = below, Trail(below)
        self._hidden = {_split(os.fsencode(path)) for path in apart_from}
        self._opaque: dict[Path, set[bytes]] = {}

    def __iter__(self) -> Iterator[Found]:
        for count, entry in enumerate(self.reader, 1):
            if count > _MOST_ENTRIES:
                raise Corrupt(f"what was written are more than {_MOST_ENTRIES} files")
            path = _split(entry.path)
            if not count % 1024:
                event("diff.names", done=count)
            if path and path[:-1] in self._opaque:
                self._opaque[path[:-1]].add(path[-1])
            if not self.is_hidden(path) and (found := self._found(path, entry)):
                yield found
        for directory, names in self._opaque.items():
            for name in sorted(self._trail.names(directory).keys() - names):
                if not self.is_hidden((*directory, name)):
                    yield Found((*directory, name), DELETED, None)

    def is_hidden(self, path: Path) -> bool:
        """Whether it is one of those that nothing is told of."""
        return any(path[:depth] in self._hidden for depth in range(1, len(path) + 1))

    def _found(self, path: Path, entry: Entry) -> Found | None:
        if not path and entry.kind != stat.S_IFDIR:
            raise Corrupt("what was written does not begin with a directory")
        before = self._trail.find(path)
        if entry.kind == stat.S_IFCHR and (entry.major, entry.minor) == (0, 0):
            return None if before is None else Found(path, DELETED, None)
        xattrs = entry.xattrs or {}
        if any(name in xattrs for name in _ELSEWHERE):
            raise UsageError(
                f"/{os.fsdecode(b'/'.join(path))} was written by a kernel that keeps part of it elsewhere "
                "(redirect_dir or metacopy of overlayfs)",
                hint="mount the layer with both off, and copy it",
            )
        in_opaque = bool(path) and path[:-1] in self._opaque
        if entry.kind == stat.S_IFDIR and (in_opaque or xattrs.get(_OPAQUE) == b"y"):
            self._opaque[path] = set()
        entry.xattrs = _seen(xattrs)
        return Found(path, self._kind(entry, before), entry)

    def _kind(self, entry: Entry, before: Inode | None) -> Kind | None:
        if before is None:
            return ADDED
        if entry.kind != stat.S_IFDIR or before.kind != stat.S_IFDIR:
            return CHANGED
        was = stat.S_IMODE(before.mode), before.uid, before.gid, self._below.xattrs(before)
        is_ = stat.S_IMODE(entry.mode), entry.uid, entry.gid, entry.xattrs or {}
        return None if was == is_ else CHANGED


def upper_changes(
    archive: Iterable[bytes], below: FileSystem, *, apart_from: Collection[str] = ()
) -> list[Change]:
    """What was added, changed and deleted, as snapshot.diff.changes() tells it; but a file that was written,
    or was to be, is changed, whatever is in it now. Raises Corrupt, UsageError.
    """
    kinds: dict[Path, Kind] = {}
    for path, kind, _ in Upper(archive, below, apart_from=apart_from):
        if kind is not None:
            kinds[path] = kind
    for path in tuple(kinds):
        for depth in range(1, len(path)):
            kinds.setdefault(path[:depth], CHANGED)
    return [Change(kind, os.fsdecode(b"/" + b"/".join(path))) for path, kind in sorted(kinds.items())]


def upper_layer(
    archive: Iterable[bytes], below: FileSystem, *, apart_from: Collection[str] = ()
) -> Iterator[bytes]:
    """The OCI layer (layer.md) of the same. Raises Corrupt, UsageError."""
    upper = Upper(archive, below, apart_from=apart_from)
    waiting: list[tuple[Path, bytes]] = []  # directories that are as below, until something in them is not
    for path, kind, entry in upper:
        if entry is None:
            yield whiteout(b"/".join(path))
            continue
        head = headers(_whole(path, entry, upper))
        if kind is None:
            waiting.append((path, head))
            continue
        yield from (before for above, before in waiting if above and above == path[: len(above)])
        waiting.clear()
        yield head
        if entry.kind == stat.S_IFREG:
            yield from _content(entry, upper.reader)
    yield END_OF_ARCHIVE


def _split(path: bytes) -> Path:
    names = tuple(name for name in path.split(b"/") if name not in (b"", b"."))
    if b".." in names:
        raise Corrupt(f"what was written has an impossible name: {path[:80]!r}")
    return names


def _seen(xattrs: dict[bytes, bytes]) -> dict[bytes, bytes] | None:
    """The attributes that a program in the container sees: those of overlayfs it does not."""
    kept = {name: value for name, value in xattrs.items() if not name.startswith(_OWN)}
    for name, value in xattrs.items():
        if name.startswith(_ESCAPED):
            kept[_OWN + name.removeprefix(_ESCAPED)] = value
    return kept or None


def _whole(path: Path, entry: Entry, upper: Upper) -> Entry:
    """`entry` as a layer has it: without holes, and under its name in the root."""
    name, link = b"/".join(path), entry.link
    if not 0 <= entry.size <= _LARGEST_BYTES:
        raise Corrupt(f"{name[:80]!r} claims a size of {entry.size} bytes")
    check_name(name)
    if entry.kind == HARD_LINK:
        target = _split(link)
        if upper.is_hidden(target):
            raise Corrupt(f"{name!r} is a link to what is in no layer, {link[:80]!r}")
        link = b"/".join(target)
    elif entry.kind == stat.S_IFDIR:
        name = (name or b".") + b"/"
    return replace(entry, path=name, link=link, mode=stat.S_IMODE(entry.mode), sparse=None)


def _content(entry: Entry, reader: TarReader) -> Iterator[bytes]:
    at = 0
    for offset, size in ((0, entry.size),) if entry.sparse is None else entry.sparse:
        yield from _zeros(offset - at)
        left = size
        while left:
            piece = bytes(reader.piece(min(left, _PIECE_BYTES)))
            left -= len(piece)
            yield piece
        at = offset + size
    yield from _zeros(entry.size - at)
    yield padding(entry.size)


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        part = min(count, len(_ZEROS))
        yield _ZEROS[:part]
        count -= part
