"""IdMaps: the ids that containers have for themselves (`--userns auto`).

The rule: a map is a container's by standing in its spec, and free when that is removed. It is chosen among
those of all others while the table is held, which is let go when the spec is on record: a crash before that
leaves nothing, one after it a container that `firkin rm` removes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from firkin.container.record import records
from firkin.errors import ContainerNotFound, Corrupt
from firkin.linux.id_map import IdMap
from firkin.paths import Paths
from firkin.store.files import disk_errors
from firkin.store.lock import locked

_DEADLINE_S = 30.0


@contextmanager
def table(paths: Paths) -> Iterator[None]:
    """Hold the table in the block; no other lock is taken before it. Raises InUse."""
    with disk_errors(paths.data):
        paths.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    what = "the table of containers' ids is in use"
    with locked(paths.ids_lock_path, shared=False, deadline_s=_DEADLINE_S, what=what):
        yield


def taken(paths: Paths) -> list[IdMap]:
    """The maps that containers have for themselves. A record that cannot be read holds none: nothing starts
    from it.
    """
    found = []
    for record in records(paths):
        try:
            spec = record.spec()
        except (ContainerNotFound, Corrupt):
            continue
        if spec.id_map is not None and spec.id_mode.kind == "auto":
            found.append(spec.id_map)
    return found
