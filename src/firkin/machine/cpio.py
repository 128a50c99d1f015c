"""The newc cpio archive that a kernel unpacks as its initramfs (Documentation/driver-api/early-userspace).

The rule: values in, bytes out, the same bytes for the same entries.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable

import msgspec

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"
MAX_FILE_BYTES = 0xFFFFFFFF


class Entry(msgspec.Struct, frozen=True):
    """A file, directory, symlink (`data` is its target) or device node; `mode` holds its type, as in stat."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def file(name: str, data: bytes, mode: int = 0o644) -> Entry:
    return Entry(name, stat.S_IFREG | mode, data)


def directory(name: str, mode: int = 0o755) -> Entry:
    return Entry(name, stat.S_IFDIR | mode)


def archive(entries: Iterable[Entry]) -> bytes:
    """The archive of `entries`, in their order, everything owned by root and dated 1970.

    Raises ValueError for a name that the format cannot hold (empty, with a NUL, or the trailer's) and for a
    file beyond 4 GiB.
    """
    parts: list[bytes] = []
    for inode, entry in enumerate(entries, start=1):
        if not entry.name or "\0" in entry.name or entry.name == _TRAILER:
            raise ValueError(f"cpio cannot hold a file named {entry.name!r}")
        parts += _member(entry, inode)
    parts += _member(Entry(_TRAILER, 0), 0)
    return b"".join(parts)


def _member(entry: Entry, inode: int) -> list[bytes]:
    if len(entry.data) > MAX_FILE_BYTES:
        raise ValueError(f"cpio cannot hold {len(entry.data)} bytes of {entry.name!r}")
    name = entry.name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    numbers = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    header = _MAGIC + b"".join(b"%08x" % number for number in numbers) + name
    return [header, _padding(header), entry.data, _padding(entry.data)]


def _padding(part: bytes) -> bytes:
    return bytes(-len(part) % 4)
