"""Nodes: the files of a tree, as an inode holds them. A name is not part of a node: hard links share one.

Built by whoever knows the tree; `number` and `links` are filled in when the metadata is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Mapping = tuple[int, int, int]
"""Block in the file, block on the disk, and how many follow each other on both."""


@dataclass(slots=True, eq=False)
class Node:
    """What every inode has. `mode` includes the type (S_IFMT); times are nanoseconds since the epoch;
    `xattrs` are by full name (`security.capability`), None for none.
    """

    mode: int
    uid: int
    gid: int
    mtime_ns: int
    atime_ns: int
    ctime_ns: int
    xattrs: dict[bytes, bytes] | None
    number: int = field(default=0, init=False)
    links: int = field(default=0, init=False)


@dataclass(slots=True, eq=False)
class File(Node):
    """A regular file. What `mappings`, in ascending order, leave out reads as zeros."""

    size: int
    mappings: list[Mapping]


@dataclass(slots=True, eq=False)
class Directory(Node):
    """A directory and the names in it, without `.` and `..`."""

    children: dict[bytes, Node]


@dataclass(slots=True, eq=False)
class Symlink(Node):
    target: bytes


@dataclass(slots=True, eq=False)
class Special(Node):
    """A device, by its numbers, or a fifo."""

    major: int
    minor: int
