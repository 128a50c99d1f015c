"""The first content of a volume that is a directory of this host: what the image has there, as with Docker.

    <directory>/.firkin-new      being filled, by whoever holds the volume's `making`; else it is garbage
    <directory>/.firkin-whole    has all of it, and its names move up one by one: whoever finds it goes on

The rule: it gets that whole or not at all, and one that holds anything is left as it is. Files are this
user's, or where root fills it the image's owners'. What an image brings makes nothing on this host that acts
for others: no device, and no file with a set-user-id or set-group-id bit.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from firkin.archive.extraction import extract
from firkin.archive.writer import END_OF_ARCHIVE
from firkin.ext4.reader.file_system import FileSystem
from firkin.ext4.reader.inode import Inode
from firkin.linux.removal import remove_tree
from firkin.linux.syscalls import syncfs
from firkin.rootfs.file_tar import file_tar
from firkin.store.files import disk_errors, sync_dir
from firkin.volume.disk import ImageFile, resolve

NEW, WHOLE = ".firkin-new", ".firkin-whole"
_MODES = 0o1777
_KINDS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO)


def is_filled(directory: Path) -> bool:
    """Whether it holds anything, and nothing is left to be done. Raises OSError."""
    names = set(os.listdir(directory))
    return bool(names) and not names & {NEW, WHOLE}


def fill(directory: Path, image_path: Path, at: str, *, own: bool) -> None:
    """Fill it, unless it holds anything, with what the image's disk has in the directory `at`; one of the
    volume's `own` gets the owner and mode of that, too. The caller holds the volume's `making`.

    Raises StorageFull, HostUnsupported, Corrupt, UsageError.
    """
    with disk_errors(directory):
        if (directory / WHOLE).is_dir():
            _move_up(directory)
        remove_tree(directory / NEW)
        if os.listdir(directory):
            return
    with open(image_path, "rb") as image:
        system = FileSystem(ImageFile(image.fileno()), f"the disk {image_path}")
        found = resolve(system, at)
        if found is None or found.kind != stat.S_IFDIR:
            return
        try:
            with disk_errors(directory):
                _write(directory / NEW, system, found)
                (directory / NEW).rename(directory / WHOLE)
        finally:
            remove_tree(directory / NEW)
    with disk_errors(directory):
        _move_up(directory)
        if own:
            _take_after(directory, found)


def _write(new: Path, system: FileSystem, top: Inode) -> None:
    new.mkdir(mode=0o700)
    extract(_tar(system, top), str(new), owners=os.geteuid() == 0)
    fd = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syncfs(fd)
    finally:
        os.close(fd)


def _tar(system: FileSystem, top: Inode) -> Iterator[bytes]:
    """All that lies in the directory `top`."""
    linked: dict[int, bytes] = {}
    seen: set[int] = set()
    waiting = [(b"", top)]
    while waiting:
        path, directory = waiting.pop()
        if directory.number in seen:
            raise directory.damaged("is a directory in two places")
        seen.add(directory.number)
        for name, entry in sorted(system.entries(directory).items()):
            child, below = system.child(entry), path + name
            if child.kind not in _KINDS:
                continue
            yield from file_tar(below, child, system, linked, mode_mask=_MODES)
            if child.kind == stat.S_IFDIR:
                waiting.append((below + b"/", child))
    yield END_OF_ARCHIVE


def _move_up(directory: Path) -> None:
    whole = directory / WHOLE
    for name in os.listdir(whole):
        (whole / name).rename(directory / name)
    whole.rmdir()
    sync_dir(directory)


def _take_after(directory: Path, place: Inode) -> None:
    if os.geteuid() == 0:
        os.chown(directory, place.uid, place.gid)
    directory.chmod(stat.S_IMODE(place.mode) & 0o1777)
