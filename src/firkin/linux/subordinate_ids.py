"""Subordinate ids: the ranges that /etc/subuid and /etc/subgid (subuid(5)) give to users.

The rule: a line that shadow's programs would not read gives nothing; who has ranges by name and by number has
both, and none twice.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable

import msgspec

from firkin.linux.id_map import IDS, IdRanges

_MAX_BYTES = 1 << 20
MOST_RANGES = 2000
"""Read of a file."""


class Range(msgspec.Struct, frozen=True):
    """One line: `owner` is a name or a number."""

    owner: str
    first: int
    count: int

    def meets(self, other: Range) -> bool:
        return self.first < other.first + other.count and other.first < self.first + self.count

    def __str__(self) -> str:
        return f"{self.owner}:{self.first}:{self.count}"


_EVERY = Range("", 0, IDS)


class Holder(msgspec.Struct, frozen=True):
    """Who maps ids: a user and group, and what they may map beside themselves.

    `known_uids` and `known_gids` are those that our own user namespace has: root may map these.
    """

    uid: int
    gid: int
    user: str = ""
    uids: tuple[Range, ...] = ()
    gids: tuple[Range, ...] = ()
    known_uids: tuple[Range, ...] = (_EVERY,)
    known_gids: tuple[Range, ...] = (_EVERY,)

    @classmethod
    def here(cls) -> Holder:
        """This process's effective user."""
        uid = os.geteuid()
        user = user_name(uid)
        names = (user, str(uid))
        return cls(
            uid,
            os.getegid(),
            user,
            of("/etc/subuid", names),
            of("/etc/subgid", names),
            _known("/proc/self/uid_map"),
            _known("/proc/self/gid_map"),
        )


def _known(path: str) -> tuple[Range, ...]:
    with open(path) as file:
        return tuple(Range("", each.inside, each.count) for each in IdRanges.parse(file.read()).ranges)


def user_name(uid: int) -> str:
    """The name of an account, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def of(path: str, owners: Iterable[str]) -> tuple[Range, ...]:
    """What one of the two files gives to `owners`, names of one user; nothing where it cannot be read."""
    try:
        with open(path, "rb") as file:
            text = file.read(_MAX_BYTES).decode(errors="surrogateescape")
    except OSError:
        return ()
    wanted = frozenset(owners)
    mine: list[Range] = []
    for each in ranges(text):
        if each.owner in wanted and not any(each.meets(other) for other in mine):
            mine.append(each)
    return tuple(mine)


def ranges(text: str) -> list[Range]:
    """What a file gives, in its order."""
    found = [range_of(line) for line in text.splitlines()]
    return [each for each in found if each is not None][:MOST_RANGES]


def range_of(line: str) -> Range | None:
    """None where it is not NAME:FIRST:COUNT."""
    fields = line.strip().split(":")
    if (
        len(fields) != 3
        or not fields[0]
        or not all(each.isdecimal() and len(each) < 11 for each in fields[1:])
    ):
        return None
    owner, first, count = fields[0], int(fields[1]), int(fields[2])
    return Range(owner, first, count) if count and first + count <= 1 << 32 else None
