"""The disk of a volume: an ext4 with a journal, which begins with what an image has at some path, or empty.

The rule: it is written here, by reading the image's disk, so every owner, mode, attribute and link is the
image's, whoever runs firkin; and no machine is needed for that.
"""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Callable
from pathlib import Path

from firkin.errors import Corrupt, StorageFull
from firkin.ext4 import BLOCK_BYTES, Directory, File, Identity, Layout, Node, Space, Special, Symlink
from firkin.ext4 import journal as journals
from firkin.ext4.extents import mapped
from firkin.ext4.metadata import write_metadata
from firkin.ext4.node import Mapping
from firkin.ext4.reader.file_system import ROOT, FileSystem
from firkin.ext4.reader.inode import Inode
from firkin.ext4.space import LONGEST_EXTENT
from firkin.rootfs.disk import DiskWriter

_MOST_LINKS = 40
_Put = Callable[[int, bytes], None]


class ImageFile:
    """A raw disk, as a FileSystem's source."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.size_bytes = os.fstat(fd).st_size

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._fd, size, offset)


def write_disk(path: Path, size_bytes: int, image_path: Path | None, at: str) -> None:
    """Write the disk of a volume to `path`, which is new, and sync it: what the image's disk has in the
    directory `at`, with that directory's owner and mode; empty where it has none.

    Raises StorageFull where that does not fit, Corrupt, OSError.
    """
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(fd, size_bytes)
        if image_path is None:
            _write(fd, size_bytes, None, at)
        else:
            with open(image_path, "rb") as image:
                system = FileSystem(ImageFile(image.fileno()), f"the disk {image_path}")
                _write(fd, size_bytes, system, at)
        os.fsync(fd)
    finally:
        os.close(fd)


def is_empty(path: Path) -> bool:
    """Whether the disk at `path` was left in order and holds nothing. Raises OSError."""
    with open(path, "rb") as disk:
        try:
            system = FileSystem(ImageFile(disk.fileno()), str(path))
            return not set(system.entries(system.inode(ROOT))) - {b"lost+found"}
        except Corrupt:
            return False  # its journal is to be replayed by the next machine, or it is none of ours


def has_content(image_path: Path, at: str) -> bool:
    """Whether the image's disk has a directory at `at` with anything in it. Raises Corrupt, OSError."""
    with open(image_path, "rb") as image:
        system = FileSystem(ImageFile(image.fileno()), f"the disk {image_path}")
        found = resolve(system, at)
        return found is not None and found.kind == stat.S_IFDIR and bool(system.entries(found))


def _write(fd: int, size_bytes: int, system: FileSystem | None, at: str) -> None:
    space = Space(Layout.for_size(size_bytes))
    identity = Identity(uuid.uuid4().bytes, os.urandom(16))
    with DiskWriter(fd) as disk:
        journal = journals.place(space, identity, disk.put)
        copy = _Copy(system, space, disk)
        try:
            write_metadata(copy.tree(at), space, identity, disk.put, copy.files, journal)
        except StorageFull as error:
            raise StorageFull(f"a volume's disk: {error}", hint=error.hint) from error
        disk.finish()


class _Copy:
    """Nodes for a new disk, from the inodes of another."""

    def __init__(self, system: FileSystem | None, space: Space, disk: DiskWriter) -> None:
        self.files: list[File] = []
        self._system, self._space, self._disk = system, space, disk
        self._known: dict[int, Node] = {}

    def tree(self, at: str) -> Directory:
        """The directory `at`, with all that is in it."""
        found = None if self._system is None else resolve(self._system, at)
        if self._system is None or found is None or found.kind != stat.S_IFDIR:
            return Directory(stat.S_IFDIR | 0o755, 0, 0, 0, 0, 0, None, {})
        root = self._directory(self._system, found)
        waiting = [(found, root)]
        while waiting:
            inode, node = waiting.pop()
            for name, entry in sorted(self._system.entries(inode).items()):
                child = self._system.child(entry)
                if child.kind == stat.S_IFDIR:
                    below = self._directory(self._system, child)
                    waiting.append((child, below))
                    node.children[name] = below
                else:
                    made = self._known.get(child.number) or self._leaf(self._system, child)
                    node.children[name] = self._known[child.number] = made
        return root

    def _directory(self, system: FileSystem, inode: Inode) -> Directory:
        if inode.number in self._known:
            raise inode.damaged("is a directory in two places")
        node = Directory(*_common(system, inode), {})
        self._known[inode.number] = node
        return node

    def _leaf(self, system: FileSystem, inode: Inode) -> Node:
        common = _common(system, inode)
        if inode.kind == stat.S_IFREG:
            return self._file(system, inode, File(*common, inode.size, []))
        if inode.kind == stat.S_IFLNK:
            return Symlink(*common, system.target(inode))
        return Special(*common, os.major(inode.rdev), os.minor(inode.rdev))

    def _file(self, system: FileSystem, inode: Inode, file: File) -> File:
        """Place the content, piece by piece; holes stay holes."""
        for offset, piece in system.data(inode):
            extents = self._space.allocate_for(len(piece))
            for mapping in mapped(extents, offset // BLOCK_BYTES):
                _append(file.mappings, mapping)
            if self._space.missing_blocks:
                continue  # only how much is missing is still to be found out
            view = memoryview(piece)
            for start, count in extents:
                self._disk.put(start * BLOCK_BYTES, view[: count * BLOCK_BYTES])
                view = view[count * BLOCK_BYTES :]
            self._disk.pad()
        self.files.append(file)
        return file


def _append(mappings: list[Mapping], new: Mapping) -> None:
    """Add a mapping, as part of the last one where it follows that on both sides."""
    if mappings:
        logical, start, count = mappings[-1]
        follows = (logical + count, start + count) == new[:2]
        if follows and count + new[2] <= LONGEST_EXTENT:
            mappings[-1] = logical, start, count + new[2]
            return
    mappings.append(new)


_Common = tuple[int, int, int, int, int, int, dict[bytes, bytes] | None]


def _common(system: FileSystem, inode: Inode) -> _Common:
    times = inode.mtime_ns, inode.atime_ns, inode.ctime_ns
    return inode.mode, inode.uid, inode.gid, *times, dict(system.xattrs(inode)) or None


def resolve(system: FileSystem, path: str) -> Inode | None:
    """What is at `path`, links followed as in a container of that root; None where nothing is.

    Raises Corrupt.
    """
    inode, done = system.inode(ROOT), [system.inode(ROOT)]
    parts, links = path.encode().split(b"/")[::-1], 0
    while parts:
        name = parts.pop()
        if name in (b"", b"."):
            continue
        if name == b"..":
            done = done[:-1] or done
            continue
        if done[-1].kind != stat.S_IFDIR or (entry := system.entries(done[-1]).get(name)) is None:
            return None
        inode = system.child(entry)
        if inode.kind != stat.S_IFLNK:
            done.append(inode)
            continue
        links += 1
        if links > _MOST_LINKS:
            return None
        target = system.target(inode)
        done = done[:1] if target.startswith(b"/") else done
        parts += target.split(b"/")[::-1]
    return done[-1]
