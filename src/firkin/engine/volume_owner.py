"""Owners of what is in volumes, by the ids that containers see.

The rule: it is changed as root of the storage namespace, which owns nothing but this user's ids.
"""

from __future__ import annotations

import os

from firkin.errors import UsageError
from firkin.linux import storage_namespace
from firkin.linux.id_map import IDS
from firkin.paths import Paths
from firkin.volume import record as volumes


def parse_owner(word: str) -> tuple[int, int]:
    """`UID[:GID]`, the group being the same number where none is given. Raises UsageError."""
    uid, colon, gid = word.partition(":")
    numbers = [uid, gid if colon else uid]
    if not all(
        each.isascii() and each.isdecimal() and len(each) < 11 and int(each) < IDS for each in numbers
    ):
        raise UsageError(
            f"owner {word!r} is not UID[:GID]",
            hint="write numbers, such as 1000:1000: a volume has no /etc/passwd that names could come from",
        )
    return int(numbers[0]), int(numbers[1])


def chown(paths: Paths, name: str, uid: int, gid: int) -> None:
    """Give the volume and all in it to `uid` and `gid` of containers.

    Raises VolumeNotFound, UsageError for a disk or an id that this user may not map, HostUnsupported.
    """
    record = volumes.find(paths, name)
    if record.driver == "disk":
        raise UsageError(
            f"volume {name} is a disk of its own, whose owners a container changes",
            hint=f"firkin run --rm -v {name}:/v IMAGE chown -R {uid}:{gid} /v",
        )
    id_map = storage_namespace.storage_map()
    outside = []
    for word, number, ranges in (("uid", uid, id_map.uids), ("gid", gid, id_map.gids)):
        found = ranges.outside(number)
        if found is None:
            raise UsageError(
                f"{word} {number} is not among the ids that this user may map: {ranges}",
                hint="`firkin doctor --only subordinate-ids` says how to have more",
            )
        outside.append(found)
    storage_namespace.give(os.path.realpath(record.path), outside[0], outside[1])
