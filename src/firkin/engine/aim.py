"""Aim: where a copy goes, and under which name, by Docker's rules; the same in both directions.

    source        destination that is a directory   is a file       is missing
    file          in it, under its own name         in its place    under that name, if the parent exists
    directory     in it, under its own name         an error        under that name, if the parent exists
    directory/.   its content, in it                an error        under that name, if the parent exists

A file's destination that ends in a slash has to be a directory already.
"""

from __future__ import annotations

import posixpath
from typing import Literal, NamedTuple

from firkin.errors import NotFound, UsageError

Found = Literal["directory", "file", "nothing"]


class Source(NamedTuple):
    path: bytes
    is_directory: bool

    @property
    def name(self) -> bytes:
        """What it is called where nobody says otherwise; "" stands for what is in it."""
        if self.path.endswith(b"/.") or self.path in (b".", b".."):
            return b""
        return posixpath.basename(posixpath.normpath(self.path)).strip(b"/")


class Aim(NamedTuple):
    directory: bytes
    name: bytes
    """What the archive calls the source; "" stands for what is in it."""


def aim(source: Source, destination: bytes, found: Found) -> Aim:
    """Where `source` goes, given what is found at `destination`. Raises UsageError, NotFound."""
    shown = destination.decode(errors="replace")
    if found == "directory":
        return Aim(destination, source.name)
    if found == "file" and (source.is_directory or destination.endswith(b"/")):
        what = "copy a directory to it" if source.is_directory else "copy into it"
        raise UsageError(f"{shown} is not a directory: cannot {what}", hint="name a directory")
    if found == "nothing" and destination.endswith(b"/") and not source.is_directory:
        raise NotFound(
            f"no such directory: {shown}", hint="make it first, or leave the slash away to copy to that name"
        )
    directory, _, name = destination.rstrip(b"/").rpartition(b"/")
    return Aim(directory + b"/" if directory or destination.startswith(b"/") else b".", name)
