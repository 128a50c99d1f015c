"""Files: AsyncFiles with blocking calls."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from firkin.api.loop import Loop

if TYPE_CHECKING:
    from firkin.api.async_container import AsyncContainer
    from firkin.oci.image import Image


class Files:
    """A part of Container."""

    _container: AsyncContainer
    _loop: Loop

    def copy_in(
        self, source: str | PathLike[str], destination: str, *, archive: bool = False, follow: bool = False
    ) -> None:
        """Copy a file or tree of this host into it."""
        self._loop.call(self._container.copy_in(source, destination, archive=archive, follow=follow))

    def copy_out(
        self, source: str, destination: str | PathLike[str], *, archive: bool = False, follow: bool = False
    ) -> None:
        """Copy a file or tree of it to this host."""
        self._loop.call(self._container.copy_out(source, destination, archive=archive, follow=follow))

    def pack(self, source: str, target: str | Path | BinaryIO, *, follow: bool = False) -> None:
        """Write a tar of `source`, under its own name, to a file or a stream."""
        self._loop.call(self._container.pack(source, target, follow=follow))

    def unpack(self, archive: BinaryIO, destination: str) -> None:
        """Unpack a tar, plain or compressed, into a directory of it, with its owners."""
        self._loop.call(self._container.unpack(archive, destination))

    def export(self, target: str | Path | BinaryIO) -> None:
        """Write a tar of its root file system, without what is mounted there, to a file or a stream."""
        self._loop.call(self._container.export(target))

    def commit(
        self, name: str = "", *, author: str = "", message: str = "", changes: Sequence[str] = ()
    ) -> Image:
        """An image of what it is now: its own, with a layer of what it changed."""
        return self._loop.call(self._container.commit(name, author=author, message=message, changes=changes))
