"""Subordinate ids: /etc/subuid and /etc/subgid (subuid(5)), read as shadow's programs read them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise

import msgspec

from firkin.faults import ids
from firkin.faults.fault import Finding
from firkin.host import reading
from firkin.host.asker import Asker
from firkin.linux.subordinate_ids import Range, range_of, ranges

ENOUGH = 65536
_MAX_BYTES = 1 << 20


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
    parsed = {file: ranges(file.text) for file in (facts.uids, facts.gids)}
    if asker.uid != 0 and not facts.elsewhere:
        yield from _amount(asker, parsed)
    for file, given in parsed.items():
        yield from _malformed(asker, file)
        yield from _overlaps(asker, file, given)
        yield from _accounts(file, given)
        yield from _twice(asker, file, given)


def _amount(asker: Asker, parsed: dict[File, list[Range]]) -> Iterator[Finding]:
    free = _free([each for given in parsed.values() for each in given])
    words = {"user": asker.user, "first": free, "last": free + ENOUGH - 1}
    amounts = {
        file.path: sum(each.count for each in given if each.owner in (asker.user, str(asker.uid)))
        for file, given in parsed.items()
    }
    missing = [path for path, amount in amounts.items() if not amount]
    small = [f"{amount} in {path}" for path, amount in amounts.items() if 0 < amount < ENOUGH]
    if missing:
        where = " and ".join(missing)
        yield ids.SUBIDS_MISSING.found(f"user {asker.user} has no subordinate ids in {where}", **words)
    elif small:
        having = " and ".join(small)
        yield ids.SUBIDS_SMALL.found(f"user {asker.user} has only {having} subordinate ids", **words)


def _free(given: list[Range]) -> int:
    """Where a new range may begin: above all, in steps of a whole one."""
    end = max((each.first + each.count for each in given), default=100_000)
    return max(100_000, end)


def _malformed(asker: Asker, file: File) -> Iterator[Finding]:
    for number, line in enumerate(file.text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#") and range_of(line) is None:
            what = f"line {number} of {file.path} is not NAME:FIRST:COUNT: {line[:80]!r}"
            yield ids.SUBIDS_MALFORMED.found(what, number=number, path=file.path, user=asker.user)
            return


def _overlaps(asker: Asker, file: File, given: list[Range]) -> Iterator[Finding]:
    mine = (asker.user, str(asker.uid))
    by_place = sorted(given, key=lambda each: each.first)
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


def _accounts(file: File, given: list[Range]) -> Iterator[Finding]:
    for each in given:
        for account, number in file.accounts:
            if each.first <= number < each.first + each.count:
                what = f"{each} in {file.path} covers {account}, whose id is {number}"
                yield ids.SUBIDS_ACCOUNTS.found(what, path=file.path, account=account)
                return


def _twice(asker: Asker, file: File, given: list[Range]) -> Iterator[Finding]:
    owners = {each.owner for each in given}
    if asker.user != str(asker.uid) and {asker.user, str(asker.uid)} <= owners:
        what = f"{file.path} has ranges of {asker.user} and of {asker.uid}, who are the same"
        yield ids.SUBIDS_TWICE.found(what, path=file.path, user=asker.user, uid=asker.uid)
