"""Trail: files of an ext4 looked up by paths that come in order, each directory on the way read once."""

from __future__ import annotations

import stat
from collections.abc import Sequence

from firkin.ext4.reader.directory import Names
from firkin.ext4.reader.file_system import ROOT, FileSystem
from firkin.ext4.reader.inode import Inode


class Trail:
    """The directories of `system` on the way to the path that was looked up last."""

    def __init__(self, system: FileSystem) -> None:
        self._system = system
        self._trail: list[tuple[bytes, Names]] = [(b"", system.entries(system.inode(ROOT)))]

    def find(self, path: Sequence[bytes]) -> Inode | None:
        """What the names of `path` lead to, links not followed; None where nothing is. Raises Corrupt."""
        if not path:
            return self._system.inode(ROOT)
        names = self._names(path[:-1])
        return None if names is None or path[-1] not in names else self._system.child(names[path[-1]])

    def names(self, path: Sequence[bytes]) -> Names:
        """What is in the directory that the names of `path` lead to; nothing where it is none."""
        return self._names(path) or {}

    def _names(self, path: Sequence[bytes]) -> Names | None:
        depth = 0
        while depth < min(len(path), len(self._trail) - 1) and self._trail[depth + 1][0] == path[depth]:
            depth += 1
        del self._trail[depth + 1 :]
        for each in path[depth:]:
            entry = self._trail[-1][1].get(each)
            inode = None if entry is None else self._system.child(entry)
            if inode is None or inode.kind != stat.S_IFDIR:
                return None
            self._trail.append((each, self._system.entries(inode)))
        return self._trail[-1][1]
