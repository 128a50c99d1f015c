"""Tar layers: bytes to entries. What an entry does to a tree is not known here, and no disk is touched."""

from firkin.archive.entry import HARD_LINK, Entry
from firkin.archive.reader import TarReader

__all__ = ["HARD_LINK", "Entry", "TarReader"]
