"""Heir: what a container that starts from a snapshot is to be, and its record."""

from __future__ import annotations

import time

import msgspec

from firkin.container import names
from firkin.container.disk import DiskRecord
from firkin.container.naming import new_id
from firkin.container.record import Record, create
from firkin.container.spec import ContainerSpec
from firkin.errors import NameInUse
from firkin.paths import Paths
from firkin.snapshot.record import Snapshot, find


def heir(snapshot: Snapshot, *, name: str, container_id: str, detached: bool) -> ContainerSpec:
    """The spec of a container of its own that starts from `snapshot`.

    A host name that was the id's beginning is that of its own id, in its environment too. It stays when it
    has ended, even if the one that was kept would not have.
    """
    parent = snapshot.spec
    was, now = parent.id[:12], container_id[:12]
    hostname = now if parent.hostname == was else parent.hostname
    env = tuple(f"HOSTNAME={now}" if each == f"HOSTNAME={was}" else each for each in parent.process.env)
    return msgspec.structs.replace(
        parent,
        id=container_id,
        name=name,
        created_ns=time.time_ns(),
        hostname=hostname,
        process=msgspec.structs.replace(parent.process, env=env),
        auto_remove=False,
        detached=detached,
        snapshot=snapshot.id,
    )


def record_heir(paths: Paths, snapshot: str, name: str) -> Record:
    """Put a container that starts from `snapshot` on record, under `name` or one that is made up.

    It is the supervisor's, which is to be asked to start it. The caller holds Store.adding(). Raises
    SnapshotNotFound, NameInUse, StorageFull.
    """
    found = find(paths, snapshot)
    disk = DiskRecord(layers=found.layers, parent=found.id)
    while True:
        chosen = name or names.make_up(paths)
        try:
            record, lock = create(paths, heir(found, name=chosen, container_id=new_id(), detached=True), disk)
        except NameInUse:
            if name:
                raise  # a made-up name was just taken: make up another
            continue
        lock.close()
        return record
