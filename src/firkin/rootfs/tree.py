"""Tree: what layers, applied one on the other, make of a root file system, as nodes in memory.

Layer semantics are those of the OCI image spec, layer.md: `.wh.NAME` hides NAME of the layers below, and
`.wh..wh..opq` hides all that they put into its directory; both leave alone what their own layer brings. Where
the spec is silent this does what containerd does: symbolic links among an entry's parents are followed inside
the tree, missing parents are made, and whatever an entry finds under its name is replaced by it, except that
a directory stays and takes on the new metadata.

No path of an archive ever reaches the host's file system: a name is a key of a dict.
"""

from __future__ import annotations

import stat

from firkin.archive import HARD_LINK, Entry
from firkin.errors import Corrupt, StorageFull
from firkin.ext4 import Directory, File, Node, Special, Symlink, storable

_WHITEOUT, _OPAQUE, _RESERVED = b".wh.", b".wh..wh..opq", b".wh..wh."
_NAME_LIMIT = 255
_LINK_HOPS = 40  # the kernel's MAXSYMLINKS
_TARGET_LIMIT = 4095
_PARENTS_LIMIT = 1 << 16

HELD_LIMIT_BYTES = 512 << 20


class Tree:
    """A tree that begins as an empty root directory. `add` every entry of a layer, then `next_layer`.

    It holds at most `names_limit` names, and HELD_LIMIT_BYTES of names, link targets and attributes have
    passed through it in the end: what layers describe costs memory, unlike what they hold.
    """

    def __init__(self, names_limit: int) -> None:
        self.root = _implied_directory()
        self._names_left = self._names_limit = names_limit
        self._bytes_left = HELD_LIMIT_BYTES
        self._is_first_layer = True
        # What this layer brought; whiteouts spare it.
        self._fresh: set[tuple[Directory, bytes]] = set()
        # Directories that hold nothing of lower layers any more; all they get now is fresh.
        self._pruned: set[Directory] = set()
        # Parents as archives spell them, to directories. Adding a name changes no entry; removing may.
        self._parents: dict[bytes, Directory] = {b"": self.root, b".": self.root}

    @property
    def names(self) -> int:
        return self._names_limit - self._names_left

    def next_layer(self) -> None:
        self._is_first_layer = False
        self._fresh.clear()
        self._pruned.clear()

    def add(self, entry: Entry) -> File | None:
        """Apply `entry`. Returns the new file whose content the caller has to place, else None.

        Raises Corrupt for what no tree can hold, StorageFull for too many names.
        """
        parent_path, _, name = entry.path.rstrip(b"/").rpartition(b"/")
        if name in (b"", b".", b".."):
            return self._add_unusual(entry)
        parent = self._parents.get(parent_path)
        if parent is None:
            if len(self._parents) > _PARENTS_LIMIT:
                self._forget_parents()
            parent = self._parents[parent_path] = self._directory(_lexical(parent_path), entry)
        if name.startswith(_WHITEOUT):
            self._white_out(parent, name)
            return None
        return self._place(parent, name, entry)

    def _add_unusual(self, entry: Entry) -> File | None:
        """The root itself, as `./`, or a path that goes up, as `a/..`."""
        parts = _lexical(entry.path)
        if parts:
            parent = self._directory(parts[:-1], entry)
            return self._place(parent, parts[-1], entry)
        if entry.kind != stat.S_IFDIR:
            raise Corrupt(f"tar entry {entry.path!r} would make the root something else than a directory")
        _take_metadata(self.root, entry)
        return None

    def _place(self, parent: Directory, name: bytes, entry: Entry) -> File | None:
        if len(name) > _NAME_LIMIT:
            raise Corrupt(f"tar entry {entry.path!r} has a name of more than {_NAME_LIMIT} bytes")
        present = parent.children.get(name)
        if entry.kind == stat.S_IFDIR and type(present) is Directory:
            _take_metadata(present, entry)
            node: Node = present
        else:
            node = self._hard_linked(entry) if entry.kind == HARD_LINK else _node(entry)
            if present is not None and present is not node:
                self._remove(parent, name)
            self._set(parent, name, node)
        if not self._is_first_layer:
            self._fresh.add((parent, name))
        return node if entry.kind == stat.S_IFREG else None  # type: ignore[return-value]

    def _set(self, parent: Directory, name: bytes, node: Node) -> None:
        if name not in parent.children:
            self._names_left -= 1
            if self._names_left < 0:
                raise StorageFull(
                    f"the layers hold more than {self._names_limit} files, too many for the disk",
                    hint="ask for a larger disk",
                )
        self._bytes_left -= len(name) + _held_bytes(node)
        if self._bytes_left < 0:
            raise Corrupt(
                f"the layers have more than {HELD_LIMIT_BYTES} bytes of names, links and attributes"
            )
        parent.children[name] = node

    def _remove(self, parent: Directory, name: bytes) -> None:
        removed = [parent.children.pop(name)]
        if isinstance(removed[0], Directory | Symlink):
            self._forget_parents()
        for node in removed:
            self._names_left += 1
            if isinstance(node, Directory):
                removed.extend(node.children.values())

    def _forget_parents(self) -> None:
        self._parents = {b"": self.root, b".": self.root}

    def _white_out(self, parent: Directory, name: bytes) -> None:
        if self._is_first_layer:
            return
        if name == _OPAQUE:
            self._prune(parent)
        elif not name.startswith(_RESERVED):  # aufs' own bookkeeping, which some old layers carry
            hidden = name[len(_WHITEOUT) :]
            child = parent.children.get(hidden)
            if child is None or self._keeps(parent, hidden):
                return
            self._remove(parent, hidden)

    def _keeps(self, parent: Directory, name: bytes) -> bool:
        """Whether this layer brought the name, or something under it; the rest under it is removed."""
        child = parent.children[name]
        if isinstance(child, Directory):
            self._prune(child)
            return (parent, name) in self._fresh or bool(child.children)
        return (parent, name) in self._fresh

    def _prune(self, directory: Directory) -> None:
        """Remove all under `directory` that came from lower layers, deepest first."""
        if directory in self._pruned:
            return
        below = [directory]
        for each in below:
            below.extend(child for child in each.children.values() if isinstance(child, Directory))
        self._pruned.update(below)
        for each in reversed(below):
            for name, child in list(each.children.items()):
                emptied = not isinstance(child, Directory) or not child.children
                if emptied and (each, name) not in self._fresh:
                    self._remove(each, name)

    def _hard_linked(self, entry: Entry) -> Node:
        parts = _lexical(entry.link)
        if parts:
            node = self._directory(parts[:-1], entry).children.get(parts[-1])
            if node is not None and not isinstance(node, Directory):
                return node
        raise Corrupt(f"tar entry {entry.path!r} is a hard link to {entry.link!r}, which is no file")

    def _directory(self, parts: list[bytes], entry: Entry) -> Directory:
        """The directory that `parts` lead to; missing ones are made, and links followed inside the tree."""
        trail = [self.root]
        waiting = parts[::-1]
        hops = 0
        while waiting:
            part = waiting.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":
                if len(trail) > 1:
                    trail.pop()
                continue
            child = trail[-1].children.get(part)
            if child is None:
                child = self._imply(trail[-1], part, entry)
            if isinstance(child, Symlink):
                hops += 1
                if hops > _LINK_HOPS:
                    raise Corrupt(f"tar entry {entry.path!r} lies behind too many symbolic links")
                if child.target.startswith(b"/"):
                    del trail[1:]
                waiting += child.target.split(b"/")[::-1]
            elif isinstance(child, Directory):
                trail.append(child)
            else:
                raise Corrupt(f"tar entry {entry.path!r} lies under {part!r}, which is not a directory")
        return trail[-1]

    def _imply(self, parent: Directory, name: bytes, entry: Entry) -> Directory:
        if len(name) > _NAME_LIMIT:
            raise Corrupt(f"tar entry {entry.path!r} has a name of more than {_NAME_LIMIT} bytes")
        directory = _implied_directory()
        self._set(parent, name, directory)
        return directory


def _lexical(path: bytes) -> list[bytes]:
    """The components of `path`, with `.` and `..` worked out; `..` at the root stays there."""
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return parts


def _held_bytes(node: Node) -> int:
    """Roughly what a node holds beside its fields."""
    target = len(node.target) if isinstance(node, Symlink) else 0
    return target + (sum(map(len, node.xattrs.values())) if node.xattrs else 0)


def _attributes(entry: Entry) -> dict[bytes, bytes] | None:
    try:
        return storable(entry.xattrs) if entry.xattrs else None
    except Corrupt as error:
        raise Corrupt(f"tar entry {entry.path!r}: {error}") from error


def _implied_directory() -> Directory:
    """A directory that no entry describes: root's, 0755, and of no known time."""
    return Directory(stat.S_IFDIR | 0o755, 0, 0, 0, 0, 0, None, {})


def _take_metadata(node: Node, entry: Entry) -> None:
    node.mode = entry.kind | entry.mode
    node.uid, node.gid = entry.uid, entry.gid
    node.mtime_ns = entry.mtime_ns
    node.atime_ns = entry.mtime_ns if entry.atime_ns is None else entry.atime_ns
    node.ctime_ns = entry.mtime_ns if entry.ctime_ns is None else entry.ctime_ns
    node.xattrs = _attributes(entry)


def _node(entry: Entry) -> Node:
    kind = entry.kind
    mtime = entry.mtime_ns
    atime = mtime if entry.atime_ns is None else entry.atime_ns
    ctime = mtime if entry.ctime_ns is None else entry.ctime_ns
    common = (kind | entry.mode, entry.uid, entry.gid, mtime, atime, ctime, _attributes(entry))
    if kind == stat.S_IFREG:
        return File(*common, entry.size, [])
    if kind == stat.S_IFDIR:
        return Directory(*common, {})
    if kind == stat.S_IFLNK:
        if not 0 < len(entry.link) <= _TARGET_LIMIT:
            raise Corrupt(
                f"tar entry {entry.path!r} is a symbolic link to nothing, or to more than a path can hold"
            )
        return Symlink(stat.S_IFLNK | 0o777, *common[1:], entry.link)
    return Special(*common, entry.major, entry.minor)
