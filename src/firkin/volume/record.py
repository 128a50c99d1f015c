"""What is on disk for one volume.

    volumes/<name>/
      volume.json    VolumeRecord
      disk.ext4      driver disk: appears whole at the first use, by rename; flocked by whose machine has it
      disk.new       being made, by whoever holds `making`; else it is garbage
      making         flock: held while disk.ext4 is made
      data/          driver dir, unless it is a directory of the user's
    volumes/.<name>.new  .<name>.gone      being made, being removed: tidied by the next who holds the table
    volumes/.lock    the table's flock: held by whoever makes or removes a volume, and from there until the
                     container that uses it is on record

The rule: a directory whose name does not begin with a dot is whole. A volume goes by rename, and only while
the table is held and no container lists it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from firkin.decoder import convert, json_decoder
from firkin.errors import Corrupt, NameInUse, UsageError, VolumeNotFound
from firkin.linux.removal import remove_tree
from firkin.paths import Paths
from firkin.store.files import disk_errors, replace_file, sync_dir
from firkin.store.lock import locked
from firkin.volume.mount import Driver

MIN_BYTES = 16 << 20
_MAX_NAME_CHARS = 128
_ALLOWED = re.compile(r"[a-zA-Z0-9_.-]")
_FILE = "volume.json"
_MAX_FILE_BYTES = 1 << 20
_TABLE_DEADLINE_S = 30.0


class VolumeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """volume.json."""

    name: str
    created_ns: int
    driver: Driver = "disk"
    size_bytes: int = 0
    """Of the disk."""
    path: str = ""
    """The directory, where the driver is dir."""
    labels: dict[str, str] = {}
    options: dict[str, str] = {}
    """As they were given."""
    made_for: str = ""
    """The id of the container that it was made with, where nobody named it."""
    ends_with: bool = False
    """Whether it goes when that container goes."""


def check_name(name: str) -> str:
    """`name`, if a volume may have it. Raises UsageError, which names the characters that are forbidden."""
    if forbidden := sorted({each for each in name if not _ALLOWED.fullmatch(each)}):
        shown = " ".join(each if each.isprintable() and each != " " else repr(each) for each in forbidden)
        raise UsageError(
            f"volume name {name!r} has forbidden characters: {shown}",
            hint="use letters, digits, _ . and -; a directory of this host is written ./NAME or /PATH",
        )
    if not 2 <= len(name) <= _MAX_NAME_CHARS or not name[0].isalnum():
        raise UsageError(
            f"{name!r} is not a volume name",
            hint=f"use 2 to {_MAX_NAME_CHARS} letters, digits, _ . and -, beginning with a letter or digit",
        )
    return name


@contextmanager
def table(paths: Paths) -> Iterator[None]:
    """Hold the table of volumes in the block. Raises InUse where somebody holds it for too long."""
    with disk_errors(paths.volumes_dir):
        paths.volumes_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = paths.volumes_dir / ".lock"
    what = "the table of volumes is in use"
    with locked(path, shared=False, deadline_s=_TABLE_DEADLINE_S, what=what):
        yield


def disk_path(paths: Paths, name: str) -> Path:
    """Where the disk of volume `name` is, or will be."""
    return paths.volume_dir(name) / "disk.ext4"


def find(paths: Paths, name: str) -> VolumeRecord:
    """The volume of that name. Raises VolumeNotFound, Corrupt."""
    path = paths.volume_dir(check_name(name)) / _FILE
    try:
        with open(path, "rb") as file:
            record: VolumeRecord = json_decoder(VolumeRecord).decode(file.read(_MAX_FILE_BYTES))
    except FileNotFoundError as error:
        if not path.parent.is_dir():
            raise VolumeNotFound(f"no such volume: {name}", hint="`firkin volume ls` lists them") from error
        raise _unreadable(name, "it has no record") from error
    except (OSError, msgspec.DecodeError) as error:
        raise _unreadable(name, str(error)) from error
    if record.name != name:
        raise _unreadable(name, f"its record is of {record.name!r}")
    return record


def everyone(paths: Paths) -> list[str]:
    """The names of all volumes, in order."""
    try:
        return sorted(name for name in os.listdir(paths.volumes_dir) if not name.startswith("."))
    except FileNotFoundError:
        return []


def make(paths: Paths, record: VolumeRecord) -> VolumeRecord:
    """Put a new volume on record. The caller holds the table. Raises NameInUse, StorageFull."""
    directory = paths.volume_dir(check_name(record.name))
    making = directory.with_name(f".{record.name}.new")
    if directory.is_dir():
        raise NameInUse(
            f"there is a volume {record.name!r}",
            hint=f"choose another name, or `firkin volume rm {record.name}`",
        )
    own = record.driver == "dir" and not record.path
    if own:
        record = msgspec.structs.replace(record, path=str(directory / "data"))
    remove_tree(making)  # of a maker that was killed
    try:
        with disk_errors(making):
            making.mkdir(mode=0o700)
            if own:
                (making / "data").mkdir(mode=0o755)
        replace_file(making / _FILE, msgspec.json.encode(record))
        with disk_errors(directory):
            making.rename(directory)
            sync_dir(paths.volumes_dir)
    except BaseException:
        remove_tree(making)
        raise
    return record


def new_record(name: str, **fields: object) -> VolumeRecord:
    """The record of a volume that is made now."""
    record: VolumeRecord = convert({"name": name, "created_ns": time.time_ns(), **fields}, VolumeRecord)
    return record


def change(paths: Paths, record: VolumeRecord) -> None:
    """Replace the record of a volume that is there. The caller holds the table."""
    replace_file(paths.volume_dir(record.name) / _FILE, msgspec.json.encode(record))


def remove(paths: Paths, name: str) -> int:
    """Delete a volume, readable or not, that nothing uses; the bytes given back. The caller holds the table.

    A crash leaves .<name>.gone. A directory of the user's stays as it is.
    """
    directory = paths.volume_dir(check_name(name))
    gone = directory.with_name(f".{name}.gone")
    remove_tree(gone)
    given_back = used_bytes(directory)
    with disk_errors(directory):
        try:
            directory.rename(gone)
        except FileNotFoundError as error:
            raise VolumeNotFound(f"no such volume: {name}", hint="`firkin volume ls` lists them") from error
        sync_dir(paths.volumes_dir)
    remove_tree(gone)
    return given_back


def sweep(paths: Paths) -> None:
    """Remove what was left half made or half removed. The caller holds the table."""
    for name in os.listdir(paths.volumes_dir):
        if name.startswith(".") and name.endswith((".new", ".gone")):
            remove_tree(paths.volumes_dir / name)


def used_bytes(directory: Path) -> int:
    """What is in `directory` takes so much of the disk."""
    total = 0
    for where, _, files in os.walk(directory):
        for name in files:
            try:
                total += os.lstat(os.path.join(where, name)).st_blocks * 512
            except OSError:
                continue
    return total


def _unreadable(name: str, reason: str) -> Corrupt:
    return Corrupt(
        f"the record of volume {name!r} cannot be read: {reason}",
        hint=f"`firkin volume rm -f {name}` removes what is left of it",
    )
