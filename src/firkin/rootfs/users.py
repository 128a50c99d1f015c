"""Users: who a name is in the files of a root, by its own /etc/passwd and /etc/group, as the agent finds it.

The rule: the root is a stranger's. No link in it leads out (openat2(2)), what is read is bounded, and a line
that is no entry is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from firkin.errors import UsageError
from firkin.linux.beneath import read_in_root
from firkin.linux.id_map import IDS

_MOST_BYTES = 4 << 20


def find(root: Path, user: str) -> tuple[int, int]:
    """uid and gid of `user`: "", UID, NAME, each with :GROUP or without. Raises UsageError, OSError."""
    wanted, colon, group = user.partition(":")
    uid, gid = _user(root, wanted or "0", user)
    if colon and group:
        gid = _group(root, group, user)
    return uid, gid


def _user(root: Path, wanted: str, user: str) -> tuple[int, int]:
    number = _id(wanted)
    for fields in _entries(root, b"etc/passwd"):
        if len(fields) < 4:
            continue
        uid, gid = _id(fields[2]), _id(fields[3])
        if uid is not None and gid is not None and (fields[0] == wanted or uid == number):
            return uid, gid
    if number is None:
        raise UsageError(f"user: the image has no user {wanted!r}, as in {user!r}", hint="write its number")
    return number, 0


def _group(root: Path, wanted: str, user: str) -> int:
    for fields in _entries(root, b"etc/group"):
        if len(fields) >= 3 and fields[0] == wanted and (gid := _id(fields[2])) is not None:
            return gid
    number = _id(wanted)
    if number is None:
        raise UsageError(f"user: the image has no group {wanted!r}, as in {user!r}", hint="write its number")
    return number


def _id(text: str) -> int | None:
    numeric = text.isascii() and text.isdecimal() and len(text) < 11 and int(text) < IDS
    return int(text) if numeric else None


def _entries(root: Path, name: bytes) -> Iterator[list[str]]:
    for line in read_in_root(str(root), name, _MOST_BYTES).decode(errors="surrogateescape").split("\n"):
        yield line.split(":")
