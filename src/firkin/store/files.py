"""Files that are there whole or not at all, and the disk's errors in words."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from firkin.errors import FirkinError, HostUnsupported, StorageFull
from firkin.units import format_size

TEMPORARY_PREFIX = "."


@contextmanager
def disk_errors(path: Path, needed_bytes: int = 0) -> Iterator[None]:
    """Turn the block's OSErrors into errors that name `path`: StorageFull, else HostUnsupported."""
    try:
        yield
    except OSError as error:
        raise _disk_error(error, path, needed_bytes) from error


def require_space(path: Path, needed_bytes: int) -> None:
    """Raise StorageFull now rather than after a long download, where `path`'s disk has no `needed_bytes`
    left.
    """
    free = free_bytes(path)
    if free is not None and free < needed_bytes:
        raise storage_full(path, needed_bytes)


def storage_full(path: Path, needed_bytes: int) -> StorageFull:
    free = free_bytes(path)
    needed = f"{needed_bytes} bytes ({format_size(needed_bytes)}) are needed"
    left = "" if free is None else f", {free} ({format_size(free)}) are left"
    from firkin.faults.files import DATA_SPACE

    return StorageFull(
        f"no space left on the disk of {path}: {needed}{left}",
        hint=DATA_SPACE.hint(),
    )


def free_bytes(path: Path) -> int | None:
    """What an ordinary user may still write on the disk of `path`, or of its nearest parent that exists."""
    for existing in (path, *path.parents):
        try:
            stat = os.statvfs(existing)
        except OSError:
            continue
        return stat.f_bavail * stat.f_frsize
    return None


def replace_file(path: Path, content: bytes) -> None:
    """Make `path` hold `content`, by a temporary file in its directory and rename(2).

    A crash at any line leaves the old file, or the new one, and maybe a temporary one, which begins with a
    dot and which Store.collect removes. Directories are made when missing, again when somebody removes an
    empty one.
    """
    temporary = path.parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    with disk_errors(path, len(content)):
        try:
            _write_synced(temporary, content)
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_dir(path.parent)


def write_file(path: Path, content: bytes) -> None:
    """Make the new file `path`, which nobody looks for before the caller gives its directory a name.

    Its content survives a power cut, its name once the directory is synced. Raises as replace_file().
    """
    with disk_errors(path, len(content)):
        _write_synced(path, content)


def sync_file(path: Path) -> None:
    """Make what was written to the file `path`, by whomever, survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_dir(path: Path) -> None:
    """Make the names in the directory `path` survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_synced(path: Path, content: bytes) -> None:
    for last_try in (False, False, True):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            break
        except FileNotFoundError:
            if last_try:
                raise
    with open(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)


def _disk_error(error: OSError, path: Path, needed_bytes: int) -> FirkinError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return storage_full(path, needed_bytes)
    reason = error.strerror or str(error)
    from firkin.faults.files import DATA_UNWRITABLE

    hint = f"mend its mode and owner, or set XDG_DATA_HOME; {DATA_UNWRITABLE.more}"
    return HostUnsupported(f"cannot use {path}: {reason}", hint=hint)
