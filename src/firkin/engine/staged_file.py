"""StagedFile: an image's disk as a file of the user's, for whatever else boots or mounts it.

    reflink         the file system shares the blocks, and both may be written (ioctl_ficlone(2))
    copy            where it cannot: what is written is copied, holes stay holes
    qcow2 overlay   an empty qcow2 at PATH over PATH.<key>.base, a hard link to the image's disk: while that
                    link is there the blocks are, whatever `firkin prune` removes

The rule: a file appears at PATH whole and synced, by link(2) or rename(2), and never over another unless that
was asked for. A crash leaves .PATH.<hex>.new, or a base that no overlay names; both are the user's to remove,
since nobody else looks into his directories.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import struct
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Literal

import msgspec

from firkin.errors import HostUnsupported, NameInUse, UsageError
from firkin.events import event
from firkin.machine.qcow2 import overlay_clusters
from firkin.machine.qcow2_header import MAGIC
from firkin.rootfs.record import Rootfs
from firkin.store.files import disk_errors, sync_dir, sync_file

StageFormat = Literal["raw", "qcow2"]
How = Literal["reflink", "copy", "qcow2 overlay"]

FICLONE = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)
_PIECE_BYTES = 16 << 20
_MAX_NAME_BYTES = 180
_MOST_HEAD_BYTES = 2048
_NO_CLONE = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM}
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}


class Staged(msgspec.Struct, frozen=True, kw_only=True):
    """A disk that was staged: where, how, and what that took."""

    path: Path
    how: How
    size_bytes: int
    """Of the disk, most of which may be holes."""
    written_bytes: int
    """What was written for it; a reflink and an overlay share all that the image has."""
    seconds: float
    base: Path | None = None
    """What lies under a qcow2 overlay, and has to stay beside it."""


def check_place(path: Path, *, replace: bool) -> None:
    """Refuse early what cannot be written. Raises UsageError, NameInUse."""
    if path.is_dir():
        raise UsageError(f"path: {path} is a directory", hint="name the file that is to be made in it")
    if not path.parent.is_dir():
        raise UsageError(f"path: there is no directory {path.parent}", hint="make it first")
    if len(os.fsencode(path.name)) > _MAX_NAME_BYTES:
        raise UsageError(f"path: the name {path.name[:20]}... is too long", hint="choose a shorter one")
    if not os.path.lexists(path):
        return
    if not replace:
        raise _exists(path)
    if path.is_symlink() or not path.is_file():
        raise UsageError(f"path: {path} is no file that could be replaced", hint="choose another place")


def stage_file(rootfs: Rootfs, path: Path, form: StageFormat, *, replace: bool = False) -> Staged:
    """Write the disk of `rootfs` to `path`. Nobody removes `rootfs` meanwhile. Raises as check_place(), and
    StorageFull, HostUnsupported; then nothing of it is left.
    """
    check_place(path, replace=replace)
    begin = time.monotonic()
    old_base = _base_of(path) if replace else None
    how: How
    with ExitStack() as undone, _new(path) as new:
        base = None
        if form == "qcow2":
            base = undone.enter_context(_based(rootfs, path))
            how, written_bytes = "qcow2 overlay", _write_overlay(new, base, rootfs.size_bytes)
        else:
            how, written_bytes = _copied(rootfs.image_path, new)
        _put(new, path, replace=replace)
    if old_base is not None and old_base != base:  # keeps blocks for nobody now
        with suppress(OSError):
            old_base.unlink()
    return Staged(
        path=path,
        how=how,
        size_bytes=rootfs.size_bytes,
        written_bytes=written_bytes,
        seconds=time.monotonic() - begin,
        base=base,
    )


@contextmanager
def _new(path: Path) -> Iterator[Path]:
    """The name under which the file is made, gone at the end of the block."""
    new = path.with_name(f".{path.name}.{uuid.uuid4().hex}.new")
    try:
        yield new
    finally:
        new.unlink(missing_ok=True)


def _put(new: Path, path: Path, *, replace: bool) -> None:
    """Give the file `new` its name."""
    with disk_errors(path):
        sync_file(new)
        if replace:
            new.rename(path)
        else:
            try:
                os.link(new, path)
            except FileExistsError:
                raise _exists(path) from None
        sync_dir(path.parent)


def _write_overlay(new: Path, base: Path, size_bytes: int) -> int:
    """Make `new` an empty overlay over what is called `base` beside it; the bytes that it takes."""
    with disk_errors(new):
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            for offset, data in overlay_clusters(base.name, size_bytes):
                os.pwrite(fd, data, offset)
                os.ftruncate(fd, max(offset, os.fstat(fd).st_size))
            return os.fstat(fd).st_blocks * 512
        finally:
            os.close(fd)


def _copied(source: Path, new: Path) -> tuple[Literal["reflink", "copy"], int]:
    """Make `new` of `source`: how, and how many bytes were written."""
    with disk_errors(new), open(source, "rb") as old:
        fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            if _cloned(old.fileno(), fd):
                return "reflink", 0
            return "copy", _copy_data(old.fileno(), fd)
        finally:
            os.close(fd)


def _cloned(source_fd: int, fd: int) -> bool:
    try:
        fcntl.ioctl(fd, FICLONE, source_fd)
    except OSError as error:
        if error.errno not in _NO_CLONE:
            raise
        return False
    return True


def _copy_data(source_fd: int, fd: int) -> int:
    size_bytes = os.fstat(source_fd).st_size
    os.ftruncate(fd, size_bytes)
    done = 0
    for start, end in _data(source_fd, size_bytes):
        while start < end:
            os.lseek(fd, start, os.SEEK_SET)
            count = os.sendfile(fd, source_fd, start, min(end - start, _PIECE_BYTES))
            if count == 0:
                raise OSError(errno.EIO, "the disk of the image was cut short")
            start += count
            done += count
            event("stage.progress", done=done)
    return done


def _data(fd: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """Where `fd` has data and no hole."""
    at = 0
    while at < size_bytes:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return  # the rest is a hole
        at = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, at


@contextmanager
def _based(rootfs: Rootfs, path: Path) -> Iterator[Path]:
    """The hard link that an overlay at `path` stands on. One that is new goes where the block fails."""
    base = path.with_name(f"{path.name}.{_short_key(rootfs)}.base")
    made = _linked(rootfs.image_path, base)
    try:
        yield base
    except BaseException:
        if made:
            base.unlink(missing_ok=True)
        raise


def _linked(source: Path, base: Path) -> bool:
    """Make `base` a link to `source`; False where it is one already."""
    with disk_errors(base):
        try:
            os.link(source, base)
        except FileExistsError:
            if os.path.samefile(source, base):
                return False
            raise NameInUse(f"{base} is in the way", hint="move it away: it is another disk") from None
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            raise HostUnsupported(
                f"cannot stage {base}: an overlay keeps its image's disk by a hard link, and {source} "
                f"cannot have one there: {error.strerror}",
                hint="choose a place on the file system of the data directory (`firkin info`), or "
                "the format raw",
            ) from error
    return True


def _base_of(path: Path) -> Path | None:
    """What the overlay at `path` stands on, where that is a base that was staged with it."""
    with suppress(OSError, struct.error), open(path, "rb") as file:
        head = file.read(_MOST_HEAD_BYTES)
        magic, at, length = struct.unpack_from(">4s4xQI", head)
        name = os.fsdecode(head[at : at + length])
        if magic == MAGIC and re.fullmatch(rf"{re.escape(path.name)}\.[0-9a-f]{{12}}\.base", name):
            return path.with_name(name)
    return None


def _short_key(rootfs: Rootfs) -> str:
    return hashlib.sha256(rootfs.key.encode()).hexdigest()[:12]


def _exists(path: Path) -> NameInUse:
    return NameInUse(f"there is a file {path}", hint="choose another name, or say that it is to be replaced")
