"""IdRanges: which ids of the host stand behind the ids of a user namespace (user_namespaces(7)).

The rule: a map that is made is one that the kernel takes: in range, no id twice on either side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import msgspec

from firkin.errors import UsageError

IDS = (1 << 32) - 1
"""How many there are: the last one, -1, stands for none."""
_MOST_RANGES = 340  # UID_GID_MAP_MAX_EXTENTS
NOBODY = 65534
"""What the kernel shows for an id that is not mapped (/proc/sys/kernel/overflowuid)."""


class IdRange(msgspec.Struct, frozen=True):
    """`count` ids: those from `inside` on, in the namespace, are those from `outside` on, of the host."""

    inside: int
    outside: int
    count: int

    def __str__(self) -> str:
        return f"{self.inside}:{self.outside}:{self.count}"


class IdRanges(msgspec.Struct, frozen=True):
    """One side, users or groups. `str` is what podman's --uidmap takes, with spaces between."""

    ranges: tuple[IdRange, ...]

    @classmethod
    def of(cls, *ranges: tuple[int, int, int]) -> IdRanges:
        """(inside, outside, count) each; those of no id are left out. Raises UsageError."""
        made = cls(tuple(IdRange(*each) for each in ranges if each[2]))
        made._check()
        return made

    @classmethod
    def parse(cls, text: str) -> IdRanges:
        """Of INSIDE:OUTSIDE:COUNT, or of the kernel's lines of three numbers. Raises UsageError."""
        if ":" in text:
            return cls.of(*(_triple(each, each.split(":")) for each in text.split()))
        return cls.of(*(_triple(line, line.split()) for line in text.splitlines() if line.strip()))

    def __str__(self) -> str:
        return " ".join(map(str, self.ranges))

    @property
    def lines(self) -> str:
        """As /proc/PID/uid_map takes it, in one write."""
        return "".join(f"{each.inside} {each.outside} {each.count}\n" for each in self.ranges)

    @property
    def count(self) -> int:
        return sum(each.count for each in self.ranges)

    def outside(self, inside: int) -> int | None:
        """The host's id; None where it is not mapped."""
        for each in self.ranges:
            if each.inside <= inside < each.inside + each.count:
                return each.outside + inside - each.inside
        return None

    def inside(self, outside: int) -> int | None:
        """The namespace's id of a host's; None where it is not mapped."""
        return self.turned.outside(outside)

    @property
    def turned(self) -> IdRanges:
        """The same with its sides exchanged."""
        return IdRanges(tuple(IdRange(each.outside, each.inside, each.count) for each in self.ranges))

    def through(self, outer: IdRanges) -> IdRanges:
        """This map, whose outside ids are ids inside `outer`, in ids of the host.

        Raises UsageError where `outer` lacks one.
        """
        return IdRanges.of(*(piece for each in self.ranges for piece in _pieces(each, outer)))

    def _check(self) -> None:
        if not 0 < len(self.ranges) <= _MOST_RANGES:
            raise UsageError(
                f"an id map has {len(self.ranges)} ranges", hint=f"the kernel takes 1 to {_MOST_RANGES}"
            )
        for each in self.ranges:
            if each.count < 0 or not all(
                0 <= first <= IDS - each.count for first in (each.inside, each.outside)
            ):
                raise UsageError(
                    f"the id map's range {each} has ids that are none", hint="ids are of 32 bits"
                )
        for side, word in (("inside", "inside the namespace"), ("outside", "of the host")):
            by_first = sorted(self.ranges, key=lambda each: int(getattr(each, side)))
            for one, other in pairwise(by_first):
                if getattr(one, side) + one.count > getattr(other, side):
                    raise UsageError(
                        f"the id map's ranges {one} and {other} share ids {word}", hint="map each id once"
                    )


class IdMap(msgspec.Struct, frozen=True):
    """A user namespace's two maps: of users and of groups."""

    uids: IdRanges
    gids: IdRanges

    @classmethod
    def alike(cls, ranges: IdRanges) -> IdMap:
        return cls(ranges, ranges)

    @property
    def single(self) -> bool:
        """Whether it has one user or one group only, as where there are no subordinate ids."""
        return 1 in (self.uids.count, self.gids.count)

    @property
    def root(self) -> tuple[int, int]:
        """The host's uid and gid of the namespace's root, or of its first user where it has none."""
        uid, gid = self.uids.outside(0), self.gids.outside(0)
        return (
            self.uids.ranges[0].outside if uid is None else uid,
            self.gids.ranges[0].outside if gid is None else gid,
        )


def _pieces(wanted: IdRange, outer: IdRanges) -> Iterator[tuple[int, int, int]]:
    done = 0
    while done < wanted.count:
        first = wanted.outside + done
        under = next((e for e in outer.ranges if e.inside <= first < e.inside + e.count), None)
        if under is None:
            raise UsageError(
                f"id {first} of the range {wanted} is not among those that this user may map",
                hint="`firkin unshare cat /proc/self/uid_map` shows them; @ID stands for an id of the host",
            )
        count = min(wanted.count - done, under.inside + under.count - first)
        yield wanted.inside + done, under.outside + first - under.inside, count
        done += count


def _triple(text: str, fields: Iterable[str]) -> tuple[int, int, int]:
    numbers = [int(field) for field in fields if field.isascii() and field.isdecimal() and len(field) < 11]
    if len(numbers) != 3 or not numbers[2]:
        raise UsageError(
            f"{text!r} is not a range of ids", hint="write INSIDE:OUTSIDE:COUNT, as 0:100000:65536"
        )
    return numbers[0], numbers[1], numbers[2]
