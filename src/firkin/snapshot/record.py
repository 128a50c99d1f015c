"""What is on disk for one snapshot, and who may change it.

    snapshots/<id>/
      snapshot.json     Snapshot, which another name or a forced removal of its parent replaces, nothing else
      memory, state, saved.json      of its machine (machine.saved); absent where it is of the disk only
    snapshots/.<id>.new              being made; its `lock` is flocked by its maker
    snapshots/.<id>.gone             being removed

The rule: a directory with an id for its name is whole. It appears by rename, once everything in it is on the
disk, and goes by rename. Its layers belong to whoever lists them (container.layers), so whoever makes one
holds Store.adding() from the freezing of the disk to commit(). Readers take no lock.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from firkin.container.disk import LayerId
from firkin.container.locks import take
from firkin.container.naming import new_id
from firkin.container.record import Streams
from firkin.container.spec import ContainerSpec
from firkin.decoder import json_decoder
from firkin.errors import Corrupt, FirkinError, HostUnsupported, NameInUse, SnapshotNotFound
from firkin.machine.saved import SavedMachine
from firkin.paths import Paths
from firkin.snapshot import names
from firkin.store.files import disk_errors, replace_file, sync_dir, sync_file

VERSION = 1
_MAX_FILE_BYTES = 4 << 20
_FILE, _LOCK = "snapshot.json", "lock"
_Id = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_IdOrNone = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A container as it was at one moment. Its disk stands on `layers`, the next one first, and its image."""

    id: _Id
    name: str
    created_ns: int
    container: _Id
    """The id of the container that it was taken of, which may be gone."""
    container_name: str
    spec: ContainerSpec
    """That container's."""
    layers: tuple[LayerId, ...]
    parent: _IdOrNone = ""
    """The id of the snapshot that its container stood on; "" where there was none, or it is unknown."""
    proc: int = 1
    """The agent's number of the first process."""
    streams: Streams = Streams()
    """How much of its output the container's owner had written down, by the agent's count."""
    machine: SavedMachine | None = None
    """What its memory needs to go on; None where there is only the disk."""
    version: int = VERSION


class _Version(msgspec.Struct, frozen=True):
    version: int


@dataclass(frozen=True, slots=True)
class Making:
    """A snapshot that is being made: whoever makes it fills `dir`, then commits."""

    paths: Paths
    id: str
    dir: Path

    def lend(self, snapshot: Snapshot) -> Snapshot:
        """Let containers start from it while it is being made, though nobody sees it; as load() gives it."""
        lent = msgspec.structs.replace(snapshot, id=self.id)
        replace_file(self.dir / _FILE, msgspec.json.encode(lent))
        return lent

    def commit(self, snapshot: Snapshot, *, name: str = "") -> Snapshot:
        """Put it on record under `name`, else under one that is made up; as it is on record then.

        What is in `dir` survives a power cut from here on. Raises NameInUse, UsageError for a bad name,
        StorageFull.
        """
        naming = names.of(self.paths)
        if name:
            naming.validate(name)
        for path in self.dir.iterdir():
            with disk_errors(path):
                sync_file(path)
        while True:
            chosen = name or names.make_up(self.paths, snapshot.container_name)
            named = msgspec.structs.replace(snapshot, id=self.id, name=chosen)
            replace_file(self.dir / _FILE, msgspec.json.encode(named))
            try:
                with naming.reserved(chosen, self.id), disk_errors(self.dir):
                    self.dir.rename(self.paths.snapshot_dir(self.id))
            except NameInUse:
                if name:
                    raise  # a made-up name was just taken: make up another
                continue
            (self.paths.snapshot_dir(self.id) / _LOCK).unlink(missing_ok=True)
            sync_dir(self.paths.snapshots_dir)
            return named


@contextmanager
def making(paths: Paths) -> Iterator[Making]:
    """A new snapshot's directory, which its commit() puts on record; without that nothing is left of it."""
    snapshot_id = new_id()
    directory = _making_dir(paths, snapshot_id)
    with disk_errors(directory):
        paths.snapshots_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700)
    with take(directory / _LOCK, "a snapshot that is being made is owned by another process"):
        try:
            yield Making(paths, snapshot_id, directory)
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def home(paths: Paths, snapshot_id: str) -> Path:
    """The directory of a snapshot, which may be one that is lent, or gone."""
    lent = _making_dir(paths, snapshot_id)
    return lent if (lent / _FILE).exists() else paths.snapshot_dir(snapshot_id)


def load(paths: Paths, snapshot_id: str) -> Snapshot:
    """The snapshot of that id, on record or lent.

    Raises SnapshotNotFound, Corrupt, HostUnsupported for a newer firkin's.
    """
    path = home(paths, snapshot_id) / _FILE
    try:
        with open(path, "rb") as file:
            raw = file.read(_MAX_FILE_BYTES)
        version = json_decoder(_Version).decode(raw).version
        if version > VERSION:
            raise HostUnsupported(
                f"snapshot {snapshot_id[:12]} has format {version}; this firkin knows {VERSION}",
                hint="use the newer firkin that made it",
            )
        snapshot: Snapshot = json_decoder(Snapshot).decode(raw)
    except FileNotFoundError as error:
        if not path.parent.is_dir():
            raise SnapshotNotFound(f"snapshot {snapshot_id[:12]} was removed") from error
        raise Corrupt(f"snapshot {snapshot_id[:12]} has no {_FILE}", hint=_hint(snapshot_id)) from error
    except (OSError, msgspec.DecodeError) as error:
        raise Corrupt(f"cannot read {path}: {error}", hint=_hint(snapshot_id)) from error
    if snapshot.id != snapshot_id:
        raise Corrupt(f"{path} is of {snapshot.id[:12]!r}", hint=_hint(snapshot_id))
    return snapshot


def find(paths: Paths, text: str) -> Snapshot:
    """The snapshot of that name, id or beginning of an id. Raises as load(), UsageError where several fit."""
    return load(paths, names.of(paths).lookup(text))


def snapshots(paths: Paths, unreadable: Callable[[FirkinError], object] | None = None) -> list[Snapshot]:
    """All snapshots, the newest first.

    One that cannot be read raises Corrupt, or HostUnsupported for a newer firkin's, or is told `unreadable`.
    """
    found = []
    for snapshot_id in names.of(paths).ids():
        try:
            found.append(load(paths, snapshot_id))
        except SnapshotNotFound:
            continue  # removed since they were listed
        except (Corrupt, HostUnsupported) as error:
            if unreadable is None:
                raise
            unreadable(error)
    return sorted(found, key=lambda each: each.created_ns, reverse=True)


def listed_layers(paths: Paths) -> set[str]:
    """The layers that some snapshot lists. Raises Corrupt, since an unreadable one might list anything."""
    return {layer for snapshot in snapshots(paths) for layer in snapshot.layers}


def reparent(paths: Paths, snapshot: Snapshot, parent: str) -> None:
    """Let `snapshot` stand on `parent` from now on, since what it stood on goes."""
    changed = msgspec.structs.replace(snapshot, parent=parent)
    replace_file(paths.snapshot_dir(snapshot.id) / _FILE, msgspec.json.encode(changed))


def remove(paths: Paths, snapshot_id: str, name: str = "") -> None:
    """Delete a snapshot, readable or not; `name` is free then. Its layers stay until a sweep.

    Raises SnapshotNotFound. A crash leaves .<id>.gone, or a link to nothing.
    """
    gone = paths.snapshots_dir / f".{snapshot_id}.gone"
    with disk_errors(paths.snapshots_dir):
        try:
            paths.snapshot_dir(snapshot_id).rename(gone)
        except FileNotFoundError as error:
            raise SnapshotNotFound(f"snapshot {snapshot_id[:12]} was removed") from error
        sync_dir(paths.snapshots_dir)
    if name:
        names.of(paths).release(name, snapshot_id)
    shutil.rmtree(gone, ignore_errors=True)


def _making_dir(paths: Paths, snapshot_id: str) -> Path:
    return paths.snapshots_dir / f".{snapshot_id}.new"


def _hint(snapshot_id: str) -> str:
    return f"`firkin snapshot rm -f {snapshot_id[:12]}` removes what is left of it"
