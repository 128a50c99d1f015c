"""TreeDiff: what changed from a directory of files to another, as snapshot.diff tells it of disks.

    Plain(root)            all files are in one directory
    Overlaid(upper, lower) overlayfs(5) with `userxattr`: `upper` has what was changed; there a character
                           device 0:0 says that a name was removed, the attribute user.overlay.opaque that a
                           directory does not continue the one below. fuse-overlayfs says these also by names:
                           .wh.NAME, .wh..wh..opq and .wh..opq

The rule: no link is followed, and both directories may be a stranger's. Who may read them is the caller's
affair.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator
from typing import NamedTuple, Protocol

from firkin.errors import Corrupt
from firkin.linux.beneath import open_beneath
from firkin.snapshot.diff import ADDED, CHANGED, DELETED, Change, Kind

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_PATH_BYTES = 4096
_PIECE_BYTES = 1 << 18
OVERLAYS = ("user.overlay.", "trusted.overlay.", "user.fuseoverlayfs.")
_OPAQUE = "user.overlay.opaque"
_WHITEOUT, _OPAQUES = b".wh.", (".wh..wh..opq", ".wh..opq")


class Found(NamedTuple):
    """One name. `kept`: it is known to be the old one, with all that is in it."""

    status: os.stat_result
    kept: bool = False


class Files(Protocol):
    """The new files. `root_fd` is the directory that has those that are not kept."""

    root_fd: int

    def entries(self, path: bytes) -> dict[bytes, Found]: ...


class Plain:
    def __init__(self, root_fd: int) -> None:
        self.root_fd = root_fd

    def entries(self, path: bytes) -> dict[bytes, Found]:
        """What is in a directory; nothing where there is none. Raises OSError."""
        return {name: Found(status) for name, status in _listed(self.root_fd, path).items()}


class Overlaid:
    def __init__(self, upper_fd: int, lower_fd: int, *, fuse: bool = False) -> None:
        self.root_fd, self._lower_fd, self._fuse = upper_fd, lower_fd, fuse

    def entries(self, path: bytes) -> dict[bytes, Found]:
        """What is seen in a directory that the upper one has. Raises OSError."""
        upper = _listed(self.root_fd, path)
        gone = {name for name, status in upper.items() if _is_whiteout(status)}
        if self._fuse:
            marks = {name for name in upper if name.startswith(_WHITEOUT)}
            gone |= marks | {mark.removeprefix(_WHITEOUT) for mark in marks}
        found = {name: Found(status) for name, status in upper.items() if name not in gone}
        if self._continues(path):
            below = _listed(self._lower_fd, path)
            found |= {name: Found(below[name], kept=True) for name in below.keys() - upper.keys() - gone}
        return found

    def _continues(self, path: bytes) -> bool:
        """Whether no directory on the way there hides what lies below."""
        parts = path.split(b"/") if path else []
        return not any(self._is_opaque(b"/".join(parts[:depth])) for depth in range(len(parts) + 1))

    def _is_opaque(self, path: bytes) -> bool:
        fd = open_beneath(self.root_fd, path, _DIRECTORY)
        try:
            if self._fuse and not set(_OPAQUES).isdisjoint(os.listdir(fd)):
                return True
            return os.getxattr(fd, _OPAQUE) == b"y"
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
                raise
            return False
        finally:
            os.close(fd)


def changes(old_fd: int, new: Files, *, apart_from: Collection[str] = ()) -> Iterator[Change]:
    """What was added, changed and deleted from the directory `old_fd` to `new`, each directory before what is
    in it; as snapshot.diff.changes(). Raises OSError, Corrupt.
    """
    hidden = frozenset(os.fsencode(path).strip(b"/") for path in apart_from)
    if _differs(old_fd, new.root_fd, b"", os.fstat(old_fd), os.fstat(new.root_fd)):
        yield Change(CHANGED, "/")
    path: list[bytes] = []
    told = 0
    levels = [_pairs(old_fd, new, b"", True)]
    while levels:
        pair = next(levels[-1], None)
        if pair is None:
            levels.pop()
            del path[-1:]
            told = min(told, len(path))
            continue
        name, before, after = pair
        path.append(name)
        whole = b"/".join(path)
        kind: Kind | None = None
        inside = False
        if whole not in hidden:
            if len(whole) >= _PATH_BYTES:
                raise Corrupt(
                    f"a path of the container is beyond {_PATH_BYTES} bytes", hint="remove it there"
                )
            kind = _compare(old_fd, new, whole, before, after)
            inside = after is not None and not after.kept and stat.S_ISDIR(after.status.st_mode)
        if kind is not None:
            yield from (Change(CHANGED, _text(path[:depth])) for depth in range(told + 1, len(path)))
            yield Change(kind, _text(path))
            told = len(path)
        if inside:
            levels.append(_pairs(old_fd, new, whole, before is not None and stat.S_ISDIR(before.st_mode)))
        else:
            path.pop()
            told = min(told, len(path))


def _pairs(
    old_fd: int, new: Files, path: bytes, was: bool
) -> Iterator[tuple[bytes, os.stat_result | None, Found | None]]:
    """The names of a directory in the order of their bytes, as it was and as it is."""
    before = _listed(old_fd, path) if was else {}
    after = new.entries(path)
    for name in sorted(before.keys() | after.keys()):
        yield name, before.get(name), after.get(name)


def _compare(
    old_fd: int, new: Files, path: bytes, before: os.stat_result | None, after: Found | None
) -> Kind | None:
    if after is None:
        return DELETED
    if before is None:
        return ADDED
    if after.kept:
        return None
    return CHANGED if _differs(old_fd, new.root_fd, path, before, after.status) else None


def _differs(old_fd: int, new_fd: int, path: bytes, before: os.stat_result, after: os.stat_result) -> bool:
    one, other = before, after
    if (one.st_mode, one.st_uid, one.st_gid) != (other.st_mode, other.st_uid, other.st_gid):
        return True
    kind = stat.S_IFMT(one.st_mode)
    if kind in (stat.S_IFCHR, stat.S_IFBLK) and one.st_rdev != other.st_rdev:
        return True
    if kind != stat.S_IFDIR and (one.st_size, one.st_mtime_ns) != (other.st_size, other.st_mtime_ns):
        return True
    if kind == stat.S_IFLNK:
        return _target(old_fd, path) != _target(new_fd, path)
    if kind not in (stat.S_IFDIR, stat.S_IFREG):
        return False
    old, fd = open_beneath(old_fd, path, os.O_RDONLY), open_beneath(new_fd, path, os.O_RDONLY)
    try:
        return attributes(old) != attributes(fd) or (kind == stat.S_IFREG and not _same_content(old, fd))
    finally:
        os.close(old)
        os.close(fd)


def attributes(fd: int) -> dict[bytes, bytes]:
    """The extended attributes of an open file, but those of overlays. Raises OSError."""
    try:
        names = os.listxattr(fd)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return {}
        raise
    return {os.fsencode(name): os.getxattr(fd, name) for name in names if not name.startswith(OVERLAYS)}


def _same_content(one: int, other: int) -> bool:
    at = 0
    while piece := os.pread(one, _PIECE_BYTES, at):
        if piece != os.pread(other, _PIECE_BYTES, at):
            return False
        at += len(piece)
    return not os.pread(other, 1, at)


def _target(root_fd: int, path: bytes) -> bytes:
    above, _, name = path.rpartition(b"/")
    fd = open_beneath(root_fd, above, _DIRECTORY)
    try:
        return os.readlink(name, dir_fd=fd)
    finally:
        os.close(fd)


def _listed(root_fd: int, path: bytes) -> dict[bytes, os.stat_result]:
    try:
        fd = open_beneath(root_fd, path, _DIRECTORY)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        return {}  # there is none, or something else, or a link
    try:
        names = map(os.fsencode, os.listdir(fd))
        return {name: os.stat(name, dir_fd=fd, follow_symlinks=False) for name in names}
    finally:
        os.close(fd)


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _text(path: list[bytes]) -> str:
    return os.fsdecode(b"/" + b"/".join(path))
