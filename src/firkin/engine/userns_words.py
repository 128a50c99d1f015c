"""The words for whose ids a container's users are, in namespaces: podman's --userns, --uidmap, --gidmap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from firkin.engine.lists import listed
from firkin.engine.options import RunOptions
from firkin.errors import UsageError
from firkin.linux.id_map import IdMap, IdRanges
from firkin.linux.id_mode import IdMode


class UsernsWords(TypedDict, total=False):
    userns: str
    uidmaps: Iterable[str]
    gidmaps: Iterable[str]


def id_mode_of(words: UsernsWords) -> IdMode:
    """What `words` ask for. Raises UsageError."""
    userns = words.get("userns", "")
    uids, gids = listed("uidmaps", words.get("uidmaps", ())), listed("gidmaps", words.get("gidmaps", ()))
    if not (uids or gids):
        return IdMode.parse(userns) if userns else IdMode()
    if userns:
        raise UsageError(
            f"userns: {userns!r} and maps that are written out are two answers to one question",
            hint="choose one of --userns, and --uidmap with --gidmap",
        )
    for field, texts in (("uidmaps", uids), ("gidmaps", gids)):
        for text in texts:
            _check_range(field, text)
    return IdMode(kind="explicit", uids=uids, gids=gids)


def _check_range(field: str, text: str) -> None:
    try:
        IdRanges.parse(text.replace(":@", ":", 1))
    except UsageError as error:
        raise UsageError(f"{field}: {error}", hint=error.hint) from error


def check_userns(options: RunOptions) -> None:
    """Refuse ids for a machine, which has users of its own. Raises UsageError."""
    if options.isolation == "vm" and options.id_mode != IdMode():
        field = "uidmaps" if options.id_mode.kind == "explicit" else "userns"
        raise UsageError(
            f"{field}: a machine has users of its own, behind which stands no id of this host",
            hint="leave it out, or run it with --isolation namespace",
        )


def check_mapped(user: str, id_map: IdMap) -> None:
    """Refuse a user or group, given by number, that the container lacks. Raises UsageError."""
    uid, _, gid = user.partition(":")
    for word, number, ranges in (("user", uid, id_map.uids), ("group", gid, id_map.gids)):
        numeric = number.isascii() and number.isdecimal() and len(number) < 11
        if numeric and ranges.outside(int(number)) is None:
            raise UsageError(
                f"user: {word} {number} of {user!r} is none of the container's, whose id map is {ranges}",
                hint="give it more ids: --userns auto:size=N, --uidmap, or more subordinate ids",
            )
