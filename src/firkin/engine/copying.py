"""Copying: files and trees between this host and containers, and from one container to another.

Each copy is one archive that streams from one side to the other: nothing is held but a few pieces of it.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from firkin.aio.bridge import read_in_thread, written_in_thread
from firkin.archive.extraction import extract
from firkin.archive.packing import pack
from firkin.archive.writer import END_OF_ARCHIVE
from firkin.engine.aim import Aim, Found, Source, aim
from firkin.engine.plain_tar import plain
from firkin.engine.trees import Trees
from firkin.engine.whole_file import whole_file
from firkin.errors import NotFound, UsageError
from firkin.process.protocol import ByteReceiver
from firkin.wire.trees import Counts, Owner, Pack, Unpack

_LINK_HOPS = 40
_PIECE_BYTES = 1 << 18
_ROOT = Owner(uid=0, gid=0)


async def copy_in(
    trees: Trees, source: str, destination: str, *, archive: bool = False, follow: bool = False
) -> int:
    """Copy `source` of this host into a container, as root's, or with `archive` with its owners' ids.

    The result is the bytes of content. Raises NotFound, UsageError, Conflict where it changes meanwhile,
    StorageFull, WrongState, MachineDied.
    """
    status = _look(source, follow=follow)
    if source.endswith("/") and not stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{source} is not a directory", hint="leave the slash away")
    what = Source(os.fsencode(source), stat.S_ISDIR(status.st_mode))
    if what.path in (b".", b".."):
        what = Source(os.fsencode(os.path.abspath(source)), True)
    target = await _aim_in(trees, what, destination)
    pieces = chain(pack(source, target.name, follow=follow or source.endswith("/.")), (END_OF_ARCHIVE,))
    task = Unpack(path=target.directory, owner=None if archive else _ROOT)
    return (await trees.unpack(task, written_in_thread(pieces))).bytes


async def copy_out(
    trees: Trees, source: str, destination: str, *, archive: bool = False, follow: bool = False
) -> int:
    """Copy `source` of a container to this host, as this user's, or with `archive` with its owners' ids.

    The result is the bytes of content. Raises as copy_in().
    """
    path = _path(source)
    found = await trees.stat(path, follow=follow or path.endswith((b"/", b"/.")))
    what = Source(path, stat.S_ISDIR(found.mode))
    local = os.path.realpath(destination) if os.path.islink(destination) else destination
    target = aim(what, os.fsencode(local), _found_here(local))
    directory = os.fsdecode(target.directory)
    if not os.path.isdir(directory):
        raise NotFound(f"no such directory: {directory}", hint="make it first")
    async with trees.pack(Pack(paths=(path,), names=(target.name,), follow=follow)) as archived:
        return await read_in_thread(archived.read, lambda pieces: extract(pieces, directory, owners=archive))


async def copy_across(
    source_trees: Trees, source: str, trees: Trees, destination: str, *, follow: bool = False
) -> Counts:
    """Copy `source` of one container to another, with its owners' ids. Raises as copy_in()."""
    path = _path(source)
    found = await source_trees.stat(path, follow=follow or path.endswith((b"/", b"/.")))
    target = await _aim_in(trees, Source(path, stat.S_ISDIR(found.mode)), destination)
    async with source_trees.pack(Pack(paths=(path,), names=(target.name,), follow=follow)) as archived:
        return await trees.unpack(Unpack(path=target.directory), pieces_of(archived))


async def unpack_into(
    trees: Trees, archive: AsyncIterator[bytes], destination: str, *, owner: Owner | None = None
) -> Counts:
    """Unpack a tar into a directory of a container, which has to be there. Raises as copy_in(), Corrupt."""
    path = _path(destination)
    found = await trees.stat(path, follow=True)
    if not stat.S_ISDIR(found.mode):
        raise UsageError(
            f"{destination} in container {trees.name!r} is not a directory", hint="name a directory"
        )
    return await trees.unpack(Unpack(path=path, owner=owner), archive)


def pack_of(source: str, *, follow: bool = False) -> Pack:
    """What packs `source` of a container under its own name, as Docker streams it."""
    path = _path(source)
    return Pack(paths=(path,), names=(Source(path, True).name,), follow=follow)


ROOT_FILE_SYSTEM = Pack(paths=(b"/",), names=(b"",), mounts=False)
"""What packs a container's root file system without what is mounted over it."""


async def write_archive(trees: Trees, task: Pack, target: str | Path | BinaryIO) -> None:
    """Write a tar to a stream, or to a path, where it appears whole. Raises as copy_out()."""

    def write(pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            file.write(piece)
        file.flush()

    with whole_file(target) as file:
        async with trees.pack(task) as archived:
            await read_in_thread(archived.read, write)


def read_archive(archive: BinaryIO) -> AsyncIterator[bytes]:
    """The bytes of an archive in a stream, which may be compressed by gzip or zstd."""
    return plain(written_in_thread(iter(partial(archive.read, _PIECE_BYTES), b"")))


async def pieces_of(archived: ByteReceiver) -> AsyncIterator[bytes]:
    """All that a stream gives."""
    while piece := await archived.read():
        yield piece


def _path(text: str) -> bytes:
    """A path in a container, which begins at its root."""
    if not text or "\0" in text:
        raise UsageError(f"{text!r} is no path in a container", hint="write CONTAINER:/PATH")
    return os.fsencode(text if text.startswith("/") else f"/{text}")


def _look(path: str, *, follow: bool) -> os.stat_result:
    try:
        return os.stat(path) if follow or path.endswith(("/", "/.")) else os.lstat(path)
    except (OSError, ValueError) as error:
        raise NotFound(f"no such file or directory: {path}", hint="look for a typing error") from error


def _found_here(path: str) -> Found:
    if os.path.isdir(path):
        return "directory"
    return "file" if os.path.lexists(path.rstrip("/") or "/") else "nothing"


async def _aim_in(trees: Trees, source: Source, destination: str) -> Aim:
    """Where `source` goes in a container. A link there stands for what it leads to, be that missing."""
    path = _path(destination)
    for _ in range(_LINK_HOPS):
        try:
            found = await trees.stat(path)
        except NotFound:
            return aim(source, path, "nothing")
        if not stat.S_ISLNK(found.mode):
            return aim(source, path, "directory" if stat.S_ISDIR(found.mode) else "file")
        path = posixpath.join(posixpath.dirname(path.rstrip(b"/")), found.link)
    raise UsageError(f"{destination} leads through too many links", hint="name where they lead")
