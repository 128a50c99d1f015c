"""Owners: the ids of an image's files as the process knows them that makes these files.

The rule: an id that the container's map lacks is refused before anything has a name, with the first file of
it; nothing is given to another id instead.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from firkin.errors import HostUnsupported
from firkin.ext4 import Node
from firkin.faults import reported
from firkin.linux.id_map import IdMap, IdRanges

CAPABILITY = b"security.capability"
ACLS = (b"system.posix_acl_access", b"system.posix_acl_default")
_ACL_HEADER = 4
_ACL_ENTRY = struct.Struct("<HHI")  # tag, permissions, id: linux/posix_acl_xattr.h
_ACL_OF_USER, _ACL_OF_GROUP = 0x02, 0x08
_REVISION_MASK, _REVISION_2, _REVISION_3 = 0xFF000000, 0x02000000, 0x03000000
_FLAGS_AND_SETS_BYTES = 20
"""vfs_cap_data of revision 2 (linux/capability.h); revision 3 has the root's uid behind it."""


class Owners:
    """`id_map` is the container's, of host ids; `ours` is that of whoever makes the files."""

    def __init__(self, id_map: IdMap, ours: IdMap) -> None:
        self._uids = _Side("uid", id_map.uids, ours.uids)
        self._gids = _Side("gid", id_map.gids, ours.gids)
        self._root = 0 if id_map.uids.outside(0) is None else self._uids.of(0, b"/")

    def of(self, node: Node, path: bytes) -> tuple[int, int]:
        """uid and gid to give to the file. Raises HostUnsupported."""
        return self._uids.of(node.uid, path), self._gids.of(node.gid, path)

    def attribute(self, name: bytes, value: bytes, path: bytes) -> bytes:
        """An attribute's value, with the ids in it. Raises HostUnsupported."""
        if name in ACLS:
            return self._acl(value, path)
        return self._capability(value) if name == CAPABILITY else value

    def _acl(self, value: bytes, path: bytes) -> bytes:
        return acl_with(value, lambda uid: self._uids.of(uid, path), lambda gid: self._gids.of(gid, path))

    def _capability(self, value: bytes) -> bytes:
        """Of the container's root: what the kernel calls revision 3 names whose root may use it."""
        if len(value) != _FLAGS_AND_SETS_BYTES or not self._root:
            return value
        (magic,) = struct.unpack_from("<I", value)
        if magic & _REVISION_MASK != _REVISION_2:
            return value
        revised = struct.pack("<I", magic & ~_REVISION_MASK | _REVISION_3)
        return revised + value[4:] + struct.pack("<I", self._root)


def acl_with(value: bytes, uid_of: Callable[[int], int], gid_of: Callable[[int], int]) -> bytes:
    """An access control list with other ids."""
    entries = value[_ACL_HEADER : len(value) - (len(value) - _ACL_HEADER) % _ACL_ENTRY.size]
    made = [value[:_ACL_HEADER]]
    for tag, permissions, number in _ACL_ENTRY.iter_unpack(entries):
        if tag in (_ACL_OF_USER, _ACL_OF_GROUP):
            number = (uid_of if tag == _ACL_OF_USER else gid_of)(number)
        made.append(_ACL_ENTRY.pack(tag, permissions, number))
    return b"".join(made)


class _Side:
    def __init__(self, word: str, container: IdRanges, ours: IdRanges) -> None:
        self._word, self._container = word, container
        self._through = container.through(ours.turned)
        self._known: dict[int, int] = {}

    def of(self, number: int, path: bytes) -> int:
        found = self._known.get(number)
        if found is None:
            found = self._through.outside(number)
            if found is None:
                raise HostUnsupported(
                    f"the image's file {path.decode(errors='backslashreplace')!r} belongs to {self._word} "
                    f"{number}, which the container's id map lacks: it has {self._container}",
                    hint=f"--userns auto:size=N gives more ids; {reported.IMAGE_NEEDS_IDS.hint()}",
                )
            self._known[number] = found
        return found
