"""Entry: one member of a tar archive, as its headers describe it, with nothing resolved or normalised."""

from __future__ import annotations

from dataclasses import dataclass

HARD_LINK = 0
"""`kind` of an entry that is another name of an earlier one; the other kinds are stat(2)'s S_IF* values."""

PATH_LIMIT = 4096
"""Longest path and link target in bytes: PATH_MAX, what a kernel would take."""


@dataclass(slots=True, eq=False)
class Entry:
    """One member. Paths are the archive's bytes, free of NUL and at most PATH_LIMIT long, but still hostile:
    they may be absolute, hold `..`, or pass through symbolic links.

    `size` counts the content's bytes and is 0 for what has none. `sparse` is None, or the (offset, length)
    pairs of the file that the archive holds, ascending and inside `size`; the rest reads as zeros.
    Times are nanoseconds since the epoch; atime and ctime are None where the archive does not say.
    """

    path: bytes
    kind: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    link: bytes
    major: int = 0
    minor: int = 0
    atime_ns: int | None = None
    ctime_ns: int | None = None
    xattrs: dict[bytes, bytes] | None = None
    sparse: tuple[tuple[int, int], ...] | None = None
