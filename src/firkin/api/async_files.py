"""AsyncFiles: what can be done with the files of a container, whatever state it is in but suspended."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from firkin.engine.container import Container
    from firkin.engine.engine import Engine
    from firkin.oci.image import Image


class AsyncFiles:
    """A part of AsyncContainer."""

    _container: Container
    _engine: Engine

    async def copy_in(
        self, source: str | PathLike[str], destination: str, *, archive: bool = False, follow: bool = False
    ) -> None:
        """Copy a file or tree of this host into it, where `firkin cp` would, as root's or with `archive` with
        its owners.

        With `follow` a `source` that is a link stands for what it leads to. Raises NotFound, UsageError,
        StorageFull, WrongState.
        """
        from firkin.engine.copying import copy_in
        from firkin.engine.opened_trees import trees_of

        async with trees_of(self._container, self._engine.settings) as trees:
            await copy_in(trees, fspath(source), destination, archive=archive, follow=follow)

    async def copy_out(
        self, source: str, destination: str | PathLike[str], *, archive: bool = False, follow: bool = False
    ) -> None:
        """Copy a file or tree of it to this host, as copy_in() does the other way round; as this user's."""
        from firkin.engine.copying import copy_out
        from firkin.engine.opened_trees import trees_of

        async with trees_of(self._container, self._engine.settings) as trees:
            await copy_out(trees, source, fspath(destination), archive=archive, follow=follow)

    async def pack(self, source: str, target: str | Path | BinaryIO, *, follow: bool = False) -> None:
        """Write a tar of `source`, under its own name, to a file or a stream. Raises as copy_out()."""
        from firkin.engine.copying import pack_of, write_archive
        from firkin.engine.opened_trees import trees_of

        async with trees_of(self._container, self._engine.settings) as trees:
            await write_archive(trees, pack_of(source, follow=follow), target)

    async def unpack(self, archive: BinaryIO, destination: str) -> None:
        """Unpack a tar, plain or compressed, into a directory of it, with its owners.

        Nothing of it gets outside of that directory. Raises Corrupt, and as copy_in().
        """
        from firkin.engine.copying import read_archive, unpack_into
        from firkin.engine.opened_trees import trees_of

        async with trees_of(self._container, self._engine.settings) as trees:
            await unpack_into(trees, read_archive(archive), destination)

    async def export(self, target: str | Path | BinaryIO) -> None:
        """Write a tar of its root file system, without what is mounted there, to a file or a stream."""
        from firkin.engine.copying import ROOT_FILE_SYSTEM, write_archive
        from firkin.engine.opened_trees import trees_of

        async with trees_of(self._container, self._engine.settings) as trees:
            await write_archive(trees, ROOT_FILE_SYSTEM, target)

    async def commit(
        self, name: str = "", *, author: str = "", message: str = "", changes: Sequence[str] = ()
    ) -> Image:
        """An image of what it is now: its own, with a layer of what it changed; its writes wait meanwhile.

        `changes` are lines of a Dockerfile. Raises UsageError, WrongState, Timeout, StorageFull.
        """
        from firkin.engine.commit import commit

        return await commit(
            self._container,
            self._engine.settings,
            name,
            author=author,
            message=message,
            config_changes=changes,
        )
