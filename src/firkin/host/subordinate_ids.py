"""Subordinate ids: /etc/subuid and /etc/subgid (subuid(5)), read as shadow's programs read them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise

import msgspec

from firkin.faults import ids
from firkin.faults.fault import Finding
from firkin.host import reading
from firkin.host.asker import Asker

ENOUGH = 65536
_MAX_BYTES = 1 << 20
_MOST_RANGES = 2000
"""Compared with each other; of more, the first."""


class Range(msgspec.Struct, frozen=True):
    """One line: `owner` is a name or a number."""

    owner: str
    first: int
    count: int

    def meets(self, other: Range) -> bool:
        return self.first < other.first + other.count and other.first < self.first + self.count

    def __str__(self) -> str:
        return f"{self.owner}:{self.first}:{self.count}"


class File(msgspec.Struct, frozen=True):
    """One of the two files, and the accounts or groups with their ids that it may not cover."""

    path: str
    text: str = ""
    accounts: tuple[tuple[str, int], ...] = ()


class Facts(msgspec.Struct, frozen=True):
    uids: File = File("/etc/subuid", "user:100000:65536\n")
    gids: File = File("/etc/subgid", "user:100000:65536\n")
    elsewhere: bool = False
    """nsswitch.conf names another source for them."""


def gather(asker: Asker) -> Facts:
    switch = (reading.text("/etc/nsswitch.conf") or "").splitlines()
    sources = [line.partition(":")[2].split() for line in switch if line.startswith("subid:")]
    return Facts(
        _file("/etc/subuid", "/etc/passwd"),
        _file("/etc/subgid", "/etc/group"),
        elsewhere=any(source not in ([], ["files"]) for source in sources),
    )


def _file(path: str, accounts: str) -> File:
    entries = [line.split(":") for line in (reading.text(accounts, _MAX_BYTES) or "").splitlines()]
    known = tuple((each[0], int(each[2])) for each in entries if len(each) > 3 and each[2].isdecimal())
    return File(path, reading.text(path, _MAX_BYTES) or "", known)


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    parsed = {file: _ranges(file) for file in (facts.uids, facts.gids)}
    if asker.uid != 0 and not facts.elsewhere:
        yield from _amount(asker, parsed)
    for file, ranges in parsed.items():
        yield from _malformed(asker, file)
        yield from _overlaps(asker, file, ranges)
        yield from _accounts(file, ranges)
        yield from _twice(asker, file, ranges)


def _ranges(file: File) -> list[Range]:
    found = [_range(line) for line in file.text.splitlines()]
    return [each for each in found if each is not None][:_MOST_RANGES]


def _range(line: str) -> Range | None:
    fields = line.strip().split(":")
    if (
        len(fields) != 3
        or not fields[0]
        or not all(each.isdecimal() and len(each) < 11 for each in fields[1:])
    ):
        return None
    owner, first, count = fields[0], int(fields[1]), int(fields[2])
    return Range(owner, first, count) if count and first + count <= 1 << 32 else None


def _amount(asker: Asker, parsed: dict[File, list[Range]]) -> Iterator[Finding]:
    free = _free([each for ranges in parsed.values() for each in ranges])
    words = {"user": asker.user, "first": free, "last": free + ENOUGH - 1}
    amounts = {
        file.path: sum(each.count for each in ranges if each.owner in (asker.user, str(asker.uid)))
        for file, ranges in parsed.items()
    }
    missing = [path for path, amount in amounts.items() if not amount]
    small = [f"{amount} in {path}" for path, amount in amounts.items() if 0 < amount < ENOUGH]
    if missing:
        where = " and ".join(missing)
        yield ids.SUBIDS_MISSING.found(f"user {asker.user} has no subordinate ids in {where}", **words)
    elif small:
        having = " and ".join(small)
        yield ids.SUBIDS_SMALL.found(f"user {asker.user} has only {having} subordinate ids", **words)


def _free(ranges: list[Range]) -> int:
    """Where a new range may begin: above all, in steps of a whole one."""
    end = max((each.first + each.count for each in ranges), default=100_000)
    return max(100_000, end)


def _malformed(asker: Asker, file: File) -> Iterator[Finding]:
    for number, line in enumerate(file.text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#") and _range(line) is None:
            what = f"line {number} of {file.path} is not NAME:FIRST:COUNT: {line[:80]!r}"
            yield ids.SUBIDS_MALFORMED.found(what, number=number, path=file.path, user=asker.user)
            return


def _overlaps(asker: Asker, file: File, ranges: list[Range]) -> Iterator[Finding]:
    mine = (asker.user, str(asker.uid))
    by_place = sorted(ranges, key=lambda each: each.first)
    for one, other in _meeting(by_place):
        if _same(one.owner, other.owner, file) or not (
            asker.uid == 0 or {one.owner, other.owner} & set(mine)
        ):
            continue
        yield ids.SUBIDS_OVERLAP.found(f"{one} and {other} overlap in {file.path}", path=file.path)
        return


def _meeting(by_place: list[Range]) -> Iterator[tuple[Range, Range]]:
    if len(by_place) <= 50:
        yield from (pair for pair in combinations(by_place, 2) if pair[0].meets(pair[1]))
    else:  # neighbours tell whether there is one
        yield from (pair for pair in pairwise(by_place) if pair[0].meets(pair[1]))


def _same(one: str, other: str, file: File) -> bool:
    """Whether both are the same user, by name or by number."""
    numbers = {name: str(number) for name, number in file.accounts}
    return numbers.get(one, one) == numbers.get(other, other)


def _accounts(file: File, ranges: list[Range]) -> Iterator[Finding]:
    for each in ranges:
        for account, number in file.accounts:
            if each.first <= number < each.first + each.count:
                what = f"{each} in {file.path} covers {account}, whose id is {number}"
                yield ids.SUBIDS_ACCOUNTS.found(what, path=file.path, account=account)
                return


def _twice(asker: Asker, file: File, ranges: list[Range]) -> Iterator[Finding]:
    owners = {each.owner for each in ranges}
    if asker.user != str(asker.uid) and {asker.user, str(asker.uid)} <= owners:
        what = f"{file.path} has ranges of {asker.user} and of {asker.uid}, who are the same"
        yield ids.SUBIDS_TWICE.found(what, path=file.path, user=asker.user, uid=asker.uid)
