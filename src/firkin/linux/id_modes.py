"""Which map a user namespace gets: the modes of `--userns`, from what a user may map.

The rule: pure functions from a Holder to a map whose outside ids are the host's. Where podman has the mode
too, ids inside are those that podman would give.

    holder        uid 1000, subordinate 100000:65536
    whole         0 -> 1000   1.. -> 100000..                     what `firkin unshare` is in
    single        0 -> 1000
    keep_id       0..999 -> 100000..   1000 -> 1000   1001.. -> 101000..
    without_user  0.. -> 100000..                                 podman's nomap
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from firkin.errors import HostUnsupported, UsageError
from firkin.faults import ids
from firkin.linux.id_map import IdMap, IdRanges
from firkin.linux.subordinate_ids import Holder, Range

AUTO_COUNT = 1024
"""How many ids a namespace of its own gets unless asked for more; podman's least."""
AUTO_COUNT_OF_ROOT = 65536
_AUTO_OF_ROOT = Range("root", 0x70000000, 0x0F000000)
"""Where nobody allots: above systemd's containers, below our VMMs' uids (linux.credentials)."""


def whole(holder: Holder) -> IdMap:
    """All that the holder may map, himself as root: maybe a single map. Root: every id as itself."""
    if holder.uid == 0:
        return IdMap(_themselves(holder.known_uids), _themselves(holder.known_gids))
    return IdMap(
        IdRanges.of((0, holder.uid, 1), *_laid(holder.uids, 1)),
        IdRanges.of((0, holder.gid, 1), *_laid(holder.gids, 1)),
    )


def single(holder: Holder) -> IdMap:
    return IdMap(IdRanges.of((0, holder.uid, 1)), IdRanges.of((0, holder.gid, 1)))


def keep_id(holder: Holder, uid: int | None = None, gid: int | None = None) -> IdMap:
    """The holder under his own ids, or as `uid` and `gid`. Raises UsageError for root."""
    _not_root(holder, "keep-id")
    return IdMap(
        _around(holder.uid, holder.uid if uid is None else uid, holder.uids),
        _around(holder.gid, holder.gid if gid is None else gid, holder.gids),
    )


def without_user(holder: Holder) -> IdMap:
    """Subordinate ids alone. Raises UsageError for root, HostUnsupported where there are none."""
    _not_root(holder, "nomap")
    _some(holder)
    return IdMap(IdRanges.of(*_laid(holder.uids, 0)), IdRanges.of(*_laid(holder.gids, 0)))


def explicit(holder: Holder, uids: Sequence[str], gids: Sequence[str]) -> IdMap:
    """What `--uidmap` and `--gidmap` say; where one is missing, it is the other.

    INSIDE:OUTSIDE:COUNT, where OUTSIDE is an id as `firkin unshare` shows it, so the host's for root; with @
    before it, as of podman 5, the host's for everybody. Raises UsageError.
    """
    outer = whole(holder)
    return IdMap(_written(uids or gids, outer.uids), _written(gids or uids, outer.gids))


def auto(holder: Holder, taken: Iterable[IdMap], count: int | None = None) -> IdMap:
    """`count` ids that no map of `taken` has, 0.. inside. Raises HostUnsupported where too few are left."""
    if count is None:
        count = AUTO_COUNT_OF_ROOT if holder.uid == 0 else AUTO_COUNT
    _some(holder)
    others = tuple(taken)
    return IdMap(
        _free(_pool(holder, holder.uids), [each.uids for each in others], count, "uids"),
        _free(_pool(holder, holder.gids), [each.gids for each in others], count, "gids"),
    )


def _pool(holder: Holder, ranges: tuple[Range, ...]) -> tuple[Range, ...]:
    return ranges or ((_AUTO_OF_ROOT,) if holder.uid == 0 else ())


def _themselves(ranges: Iterable[Range]) -> IdRanges:
    return IdRanges.of(*((each.first, each.first, each.count) for each in ranges))


def _laid(ranges: Iterable[Range], first: int) -> list[tuple[int, int, int]]:
    """The ranges one behind the other, from `first` on inside."""
    laid = []
    for each in ranges:
        laid.append((first, each.first, each.count))
        first += each.count
    return laid


def _around(own: int, inside: int, ranges: Sequence[Range]) -> IdRanges:
    """`own` as `inside`, and before and behind it the ranges."""
    below, above = _cut(ranges, inside)
    return IdRanges.of(*_laid(below, 0), (inside, own, 1), *_laid(above, inside + 1))


def _cut(ranges: Iterable[Range], count: int) -> tuple[list[Range], list[Range]]:
    """The first `count` ids of `ranges`, and the rest."""
    first, rest = [], []
    for each in ranges:
        taken = min(count, each.count)
        count -= taken
        first += [Range(each.owner, each.first, taken)] if taken else []
        left = each.count - taken
        rest += [Range(each.owner, each.first + taken, left)] if left else []
    return first, rest


def _written(texts: Sequence[str], outer: IdRanges) -> IdRanges:
    pieces: list[tuple[int, int, int]] = []
    for text in texts:
        wanted = IdRanges.parse(text.replace(":@", ":", 1))
        shown = wanted.through(outer.turned) if ":@" in text else wanted
        pieces += [(each.inside, each.outside, each.count) for each in shown.through(outer).ranges]
    return IdRanges.of(*pieces)


def _free(pool: Iterable[Range], taken: Iterable[IdRanges], count: int, kind: str) -> IdRanges:
    """The first `count` ids of `pool` side by side that nobody has, in as few pieces as they lie in."""
    held = sorted((each.outside, each.outside + each.count) for ranges in taken for each in ranges.ranges)
    gaps: list[Range] = []
    for each in pool:
        first, end = each.first, each.first + each.count
        for start, stop in held:
            if start < end and stop > first:
                gaps += [Range(each.owner, first, start - first)] if start > first else []
                first = max(first, stop)
        gaps += [Range(each.owner, first, end - first)] if end > first else []
    if sum(each.count for each in gaps) < count:
        raise HostUnsupported(
            f"--userns auto needs {count} {kind} that no other container has, and "
            f"{sum(each.count for each in gaps)} are left",
            hint="ask for fewer (--userns auto:size=N), remove containers, or have more subordinate ids: "
            + ids.SUBIDS_SMALL.hint(),
        )
    whole = next((each for each in gaps if each.count >= count), None)
    chosen = [Range("", whole.first, count)] if whole else _cut(gaps, count)[0]
    return IdRanges.of(*_laid(chosen, 0))


def _some(holder: Holder) -> None:
    """Raises HostUnsupported where a user has no subordinate ids."""
    if holder.uid != 0 and not (holder.uids and holder.gids):
        path = "/etc/subgid" if holder.uids else "/etc/subuid"
        raise HostUnsupported(
            f"user {holder.user} has no subordinate ids in {path}",
            hint=ids.SUBIDS_MISSING.hint(user=holder.user),
        )


def _not_root(holder: Holder, mode: str) -> None:
    if holder.uid == 0:
        raise UsageError(f"--userns {mode} is for users, and root runs this", hint="use auto, or --uidmap")
