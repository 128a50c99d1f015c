"""Materialise: a tree of nodes becomes a tree of files, in an empty directory that nobody else knows.

The rule: what is made is made by a name in a directory that was just made too, so that no link can lead
anywhere. Every file's owner is known before the first one is made. Directories get owner, mode and times
when all that is in them is there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from firkin.ext4 import Directory, File, Node, Special, Symlink
from firkin.rootfs.owners import Owners
from firkin.rootfs.spool import Spool

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NS = 1_000_000_000
_LATEST_S = 1 << 55
"""Python and the kernel take such times; the file system makes the nearest of it that it can hold."""
_UNKEPT = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL})
_MOST_TOLD = 20
_OVERLAYS = (b"user.overlay.", b"trusted.overlay.")


class Materials:
    """What a tree's files are made of. `devices`: whether block and character devices can be.

    `left_out` says what could not be, in words: the first few, with `left_out_count` of all.
    """

    def __init__(self, spool: Spool, owners: Owners, *, devices: bool) -> None:
        self._spool, self._owners, self._devices = spool, owners, devices
        self._shared: dict[Node, str] = {}
        self.left_out: list[str] = []
        self.left_out_count = 0

    def check(self, root: Directory) -> None:
        """Count the names of each node, and see that all their ids are there. Raises HostUnsupported."""
        for path, node in walk(root):
            node.links += 1
            if node.links == 1:
                self._owners.of(node, path)
                for name, value in (node.xattrs or {}).items():
                    self._owners.attribute(name, value, path)

    def build(self, root: Directory, fd: int) -> None:
        """Make all that is in `root` in the empty directory `fd`, which becomes it. Raises OSError.

        One descriptor goes down and up: the tree is nobody else's, so `..` is where it came from.
        """
        here = os.dup(fd)
        trail: list[tuple[Directory, bytes]] = [(root, b"")]
        waiting = [iter(root.children.items())]
        try:
            while waiting:
                name, node = next(waiting[-1], (b"", None))
                if node is None:
                    directory, path = trail.pop()
                    waiting.pop()
                    self._describe_open(here, directory, path)
                    if waiting:
                        here = _moved(here, "..")
                elif isinstance(node, Directory):
                    os.mkdir(name, 0o700, dir_fd=here)
                    here = _moved(here, name)
                    trail.append((node, trail[-1][1] + b"/" + name))
                    waiting.append(iter(node.children.items()))
                else:
                    self._make(here, name, node, trail[-1][1] + b"/" + name)
        finally:
            os.close(here)

    def _make(self, at: int, name: bytes, node: Node, path: bytes) -> None:
        """One name of what is no directory; a node of several is made in the spool, and linked from there."""
        if isinstance(node, Special) and not self._makes(node):
            return self._leave_out(f"the device {_shown(path)}")
        if node.links == 1:
            self._create(at, name, node, path)
            return
        shared = self._shared.get(node)
        if shared is None:
            shared = self._shared[node] = f"l{len(self._shared)}"
            self._create(self._spool.fd, shared.encode(), node, path)
        os.link(shared, name, src_dir_fd=self._spool.fd, dst_dir_fd=at, follow_symlinks=False)

    def _makes(self, node: Special) -> bool:
        """A device 0:0 would hide a file of an overlay's lower layer, and is of no other use."""
        return stat.S_ISFIFO(node.mode) or (self._devices and (node.major, node.minor) != (0, 0))

    def _create(self, at: int, name: bytes, node: Node, path: bytes) -> None:
        if isinstance(node, File):
            spooled = self._spool.names.get(node)
            if spooled is None:
                os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=at))
            else:
                os.rename(spooled, name, src_dir_fd=self._spool.fd, dst_dir_fd=at)
        elif isinstance(node, Symlink):
            os.symlink(node.target, name, dir_fd=at)
        else:
            assert isinstance(node, Special)
            os.mknod(name, stat.S_IFMT(node.mode) | 0o600, os.makedev(node.major, node.minor), dir_fd=at)
        os.chown(name, *self._owners.of(node, path), dir_fd=at, follow_symlinks=False)
        if not isinstance(node, Symlink):
            os.chmod(name, stat.S_IMODE(node.mode), dir_fd=at)
        if node.xattrs:
            self._attribute(b"/proc/self/fd/%d/%s" % (at, name), node, path)
        os.utime(name, ns=_times(node), dir_fd=at, follow_symlinks=False)

    def _describe_open(self, fd: int, node: Directory, path: bytes) -> None:
        os.fchown(fd, *self._owners.of(node, path))
        os.fchmod(fd, stat.S_IMODE(node.mode))
        if node.xattrs:
            self._attribute(fd, node, path)
        os.utime(fd, ns=_times(node))

    def _attribute(self, where: bytes | int, node: Node, path: bytes) -> None:
        for name, value in (node.xattrs or {}).items():
            if name.startswith(_OVERLAYS):
                self._leave_out(f"attribute {_shown(name)} of {_shown(path)}")
                continue
            made = self._owners.attribute(name, value, path)
            try:
                os.setxattr(where, name, made, follow_symlinks=isinstance(where, int))
            except OSError as error:
                if error.errno not in _UNKEPT:
                    raise
                self._leave_out(f"attribute {_shown(name)} of {_shown(path)}: {error.strerror}")

    def _leave_out(self, what: str) -> None:
        self.left_out_count += 1
        if len(self.left_out) < _MOST_TOLD:
            self.left_out.append(what)


def walk(root: Directory) -> Iterator[tuple[bytes, Node]]:
    """Every name of a tree, the root's `/` first."""
    waiting: list[tuple[bytes, Node]] = [(b"/", root)]
    while waiting:
        path, node = waiting.pop()
        yield path, node
        if isinstance(node, Directory):
            beginning = b"/" if path == b"/" else path + b"/"
            waiting += [(beginning + name, child) for name, child in node.children.items()]


def _moved(fd: int, name: bytes | str) -> int:
    """The directory `name` in `fd`, whose place it takes once it is open."""
    moved = os.open(name, _DIRECTORY, dir_fd=fd)
    os.close(fd)
    return moved


def _times(node: Node) -> tuple[int, int]:
    return _time(node.atime_ns), _time(node.mtime_ns)


def _time(time_ns: int) -> int:
    return min(max(time_ns, -_LATEST_S * _NS), _LATEST_S * _NS)


def _shown(name: bytes) -> str:
    return repr(name.decode(errors="backslashreplace"))
