"""GivenAway: files of this host that become a container's user's (`-v SOURCE:DIR:U`).

The rule: they are given before the container runs for the first time, and never again; by root of the storage
namespace, which owns nothing but this user's ids. A crash on the way leaves a container that has not run, and
its start gives them anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from firkin.container.record import Created, Record
from firkin.container.spec import ContainerSpec
from firkin.engine.owner_rules import check_place
from firkin.errors import UsageError
from firkin.linux import storage_namespace
from firkin.rootfs import users


def give(record: Record, spec: ContainerSpec, lower_of: Callable[[], Path]) -> None:
    """Give what is to be given, unless the container of `spec` has run already; `lower_of` finds its image's
    files. Raises UsageError, HostUnsupported, OSError.
    """
    paths = [bind.source for bind in spec.binds if bind.owners == "U"]
    paths += [volume.path for volume in spec.storage.directories if volume.owners == "U"]
    if not paths or not isinstance(record.state(), Created):
        return
    assert spec.id_map is not None
    uid, gid = users.find(lower_of(), spec.process.user)
    host = spec.id_map.uids.outside(uid), spec.id_map.gids.outside(gid)
    if host[0] is None or host[1] is None:
        raise UsageError(
            f"volume: U would give {paths[0]} to {uid}:{gid}, whom the container lacks: {spec.id_map.uids}",
            hint="give it more ids: --userns auto:size=N, --uidmap, or more subordinate ids",
        )
    for path in map(os.path.realpath, paths):  # a link is mounted as what it leads to
        check_place(path)
        storage_namespace.give(path, host[0], host[1])
