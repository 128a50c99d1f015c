"""Spool: the content of files, while it arrives, as files under numbers in one directory.

A file gets its name once the whole tree is known and every layer verified; what a later layer deleted never
gets one. So no path of an archive is ever resolved on the host's file system.
"""

from __future__ import annotations

import os

from firkin.archive import Entry, TarReader
from firkin.ext4 import File

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Spool:
    """Takes content into the directory `fd`, the caller's. `names` are those of files that have any."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.names: dict[File, str] = {}

    def place(self, file: File, entry: Entry, reader: TarReader) -> None:
        """Raises OSError."""
        name = str(len(self.names))
        self.names[file] = name
        fd = os.open(name, _FLAGS, 0o600, dir_fd=self.fd)
        try:
            for offset, length in ((0, entry.size),) if entry.sparse is None else entry.sparse:
                os.lseek(fd, offset, os.SEEK_SET)
                _fill(fd, length, reader)
            if entry.sparse is not None:
                os.ftruncate(fd, entry.size)
        finally:
            os.close(fd)


def _fill(fd: int, length: int, reader: TarReader) -> None:
    while length:
        piece = reader.piece(length)
        length -= len(piece)
        while piece:
            piece = piece[os.write(fd, piece) :]
