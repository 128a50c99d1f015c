"""Diff: what changed from one disk to another, as Docker's `diff` tells it.

Disks of one container share their image and most of their layers, so nearly all is told by comparing inodes,
and content is read only in clusters that a layer of one of them has and the other has not from the same file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Set
from itertools import chain
from typing import Literal, NamedTuple

from firkin.events import event, stage
from firkin.ext4.layout import BLOCK_BYTES
from firkin.ext4.reader.damage import damaged
from firkin.ext4.reader.directory import Entry
from firkin.ext4.reader.extents import is_flat
from firkin.ext4.reader.file_system import PATH_BYTES, ROOT, FileSystem
from firkin.ext4.reader.inode import Inode
from firkin.machine.qcow2_disk import Disk
from firkin.snapshot.content import differs
from firkin.snapshot.stack import Stack
from firkin.snapshot.touched import Touched

ADDED: Literal["A"] = "A"
CHANGED: Literal["C"] = "C"
DELETED: Literal["D"] = "D"
Kind = Literal["A", "C", "D"]


class Change(NamedTuple):
    kind: Kind
    path: str
    """Absolute; bytes that are not UTF-8 are as os.fsdecode() has them."""


def changes(old: Stack, new: Stack, *, apart_from: Collection[str] = ()) -> Iterator[Change]:
    """What was added, changed and deleted from `old` to `new`, each directory before what is in it.

    A file is changed when its type, mode, owner, device, target, attributes, size, mtime or content is
    another; a directory by its type, mode, owner and attributes, and unless it is `/` also when something in
    it is. Of what was added all is told, of what was deleted only the topmost. Nothing is told of the paths
    `apart_from` and what is in them. Told as it is found: memory is in proportion to the largest directories.
    Raises Corrupt, HostUnsupported.
    """
    hidden = frozenset(tuple(os.fsencode(path).strip(b"/").split(b"/")) for path in apart_from)
    with Disk.open(old.layers, old.image) as disk, Disk.open(new.layers, new.image) as other:
        if (old.layers, old.image) == (new.layers, new.image):
            return
        touched = _touched(old, new, disk, other)
        comparison = _Comparison(FileSystem(disk, old.name), FileSystem(other, new.name), touched)
        with stage("diff", old=old.name, new=new.name):
            yield from comparison.changes(hidden)


def _touched(old: Stack, new: Stack, disk: Disk, other: Disk) -> Touched:
    """All that a layer has which only one of the disks stands on."""
    if old.image != new.image:
        return Touched(None)
    shared = 0
    for one, another in zip(reversed(old.layers), reversed(new.layers), strict=False):
        if one != another:
            break
        shared += 1
    own = [*disk.layers[: len(disk.layers) - shared], *other.layers[: len(other.layers) - shared]]
    return Touched(chain.from_iterable(layer.allocated() for layer in own))


class _Pair(NamedTuple):
    """One name in a directory of both disks; the entries are None where a disk has it not."""

    name: bytes
    before: Entry | None
    after: Entry | None


class _Comparison:
    """One walk of both disks. `_seen` are directories that were met, `_compared` contents that were read."""

    def __init__(self, old: FileSystem, new: FileSystem, touched: Touched) -> None:
        self._old, self._new, self._touched = old, new, touched
        self._same_seed = old.geometry.seed == new.geometry.seed
        self._seen: tuple[set[int], set[int]] = (set(), set())
        self._compared: dict[tuple[int, int], bool] = {}
        self._names = 0

    def changes(self, hidden: Set[tuple[bytes, ...]]) -> Iterator[Change]:
        before, after = self._old.inode(ROOT), self._new.inode(ROOT)
        if self._owner(before) != self._owner(after) or self._xattrs_differ(before, after):
            yield Change(CHANGED, "/")
        path: list[bytes] = []
        told = 0  # how many directories of `path` were named already
        levels = [self._pairs(before, after)]
        while levels:
            pair = next(levels[-1], None)
            if pair is None:
                levels.pop()
                del path[-1:]
                told = min(told, len(path))
                continue
            path.append(pair.name)
            kind, members = (None, None) if tuple(path) in hidden else self._compare(pair)
            if kind:
                yield from (Change(CHANGED, _text(path[:depth])) for depth in range(told + 1, len(path)))
                yield Change(kind, _text(path))
                told = len(path)
            if members is None:
                path.pop()
                told = min(told, len(path))
                continue
            if sum(map(len, path)) + len(path) > PATH_BYTES:
                raise damaged(
                    _text(path)[:80], self._new.geometry.name, f"is a path beyond {PATH_BYTES} bytes"
                )
            levels.append(members)

    def _compare(self, pair: _Pair) -> tuple[Kind | None, Iterator[_Pair] | None]:
        """What became of a name, and the names in it where it is a directory now."""
        if pair.after is None:
            return DELETED, None
        after = self._new.child(pair.after)
        is_directory = after.kind == stat.S_IFDIR
        if pair.before is None:
            return ADDED, self._pairs(None, after) if is_directory else None
        before = after if self._is_same_inode(pair.before, pair.after) else self._old.child(pair.before)
        kind = CHANGED if self._is_changed(before, after) else None
        was = before if before.kind == stat.S_IFDIR else None
        return kind, self._pairs(was, after) if is_directory else None

    def _is_same_inode(self, before: Entry, after: Entry) -> bool:
        """Whether the inodes are equal to the byte; what they point at may differ."""
        if before != after or not self._same_seed:
            return False
        return self._old.raw_inode(before.number) == self._new.raw_inode(after.number)

    def _is_changed(self, before: Inode, after: Inode) -> bool:
        if before is not after:
            if self._owner(before) != self._owner(after) or before.rdev != after.rdev:
                return True
            if after.kind != stat.S_IFDIR and (before.size, before.mtime_ns) != (after.size, after.mtime_ns):
                return True
        if self._xattrs_differ(before, after):
            return True
        if after.kind == stat.S_IFLNK:
            return self._target_differs(before, after)
        return after.kind == stat.S_IFREG and self._content_differs(before, after)

    def _owner(self, inode: Inode) -> tuple[int, int, int]:
        return inode.mode, inode.uid, inode.gid

    def _xattrs_differ(self, before: Inode, after: Inode) -> bool:
        at = after.attribute_block
        if before is after and not (at and self._touched.any(at * BLOCK_BYTES, BLOCK_BYTES)):
            return False
        return self._old.xattrs(before) != self._new.xattrs(after)

    def _target_differs(self, before: Inode, after: Inode) -> bool:
        if before is after and not (after.has_blocks and self._may_differ(after)):
            return False
        return self._old.target(before) != self._new.target(after)

    def _content_differs(self, before: Inode, after: Inode) -> bool:
        if before is after and not self._may_differ(after):
            return False
        numbers = before.number, after.number
        if numbers not in self._compared:
            self._compared[numbers] = differs(self._old, self._new, before, after, self._touched)
        return self._compared[numbers]

    def _may_differ(self, inode: Inode) -> bool:
        """Whether what an inode that both disks have points at can be another on one of them."""
        if not is_flat(inode):
            return True
        places = self._new.mappings(inode)
        return any(self._touched.any(at * BLOCK_BYTES, count * BLOCK_BYTES) for _, at, count in places)

    def _pairs(self, before: Inode | None, after: Inode) -> Iterator[_Pair]:
        """The names in two directories, or in one that is new, in the order of their bytes."""
        self._meet(1, after)
        if before is not None:
            self._meet(0, before)
        names = self._new.entries(after)
        if before is None:
            old_names = {}
        elif before is after and not self._may_differ(after):
            old_names = names
        else:
            old_names = self._old.entries(before)
        self._names += len(names)
        event("diff.names", done=self._names)
        for name in sorted(names.keys() | old_names.keys()):
            yield _Pair(name, old_names.get(name), names.get(name))

    def _meet(self, side: int, directory: Inode) -> None:
        if directory.number in self._seen[side]:
            raise directory.damaged("is a directory in two places")
        self._seen[side].add(directory.number)


def _text(path: list[bytes]) -> str:
    return os.fsdecode(b"/" + b"/".join(path))
