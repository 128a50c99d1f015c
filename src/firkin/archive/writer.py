"""Headers of entries, in pax: what TarReader and every tar of this century read.

The rule: the same entry always gives the same bytes, and what a plain header can say is said by that alone.
Sparse files are written in GNU's format 1.0, as GNU tar does.
"""

from __future__ import annotations

import stat

from firkin.archive.entry import HARD_LINK, Entry
from firkin.archive.header import BLOCK_BYTES

END_OF_ARCHIVE = bytes(2 * BLOCK_BYTES)

_TYPES = {
    HARD_LINK: b"1", stat.S_IFREG: b"0", stat.S_IFLNK: b"2", stat.S_IFCHR: b"3", stat.S_IFBLK: b"4",
    stat.S_IFDIR: b"5", stat.S_IFIFO: b"6",
}  # fmt: skip
_NAME_BYTES = 100
_MOST_ID, _MOST_SIZE = 0o7777777, 0o77777777777


def is_storable(kind: int) -> bool:
    """Whether an archive can hold such a thing: a socket it cannot."""
    return kind in _TYPES


def headers(entry: Entry) -> bytes:
    """All that stands before the content of `entry`: its size, or what its regions hold."""
    sparse_map = b"" if entry.sparse is None else _map(entry.sparse)
    held = entry.size if entry.sparse is None else len(sparse_map) + sum(size for _, size in entry.sparse)
    records = b"".join(_records(entry, held))
    path = entry.path
    if entry.sparse is not None:
        path = b"GNUSparseFile.0/" + path.rpartition(b"/")[2]
    extended = (
        _header(b"PaxHeaders/entry", b"x", 0o644, 0, 0, len(records), 0) + records + padding(len(records))
    )
    return b"".join(
        (
            extended if records else b"",
            _header(
                path, _TYPES[entry.kind], entry.mode, entry.uid, entry.gid, held,
                entry.mtime_ns // 1_000_000_000, entry.link, entry.major, entry.minor,
            ),
            sparse_map,
        )
    )  # fmt: skip


def padding(size: int) -> bytes:
    """What follows content of `size` bytes."""
    return bytes(-size % BLOCK_BYTES)


def _records(entry: Entry, held: int) -> list[bytes]:
    records = []
    seconds, nanoseconds = divmod(entry.mtime_ns, 1_000_000_000)
    if entry.sparse is not None:
        records += [
            _record(b"GNU.sparse.major", b"1"), _record(b"GNU.sparse.minor", b"0"),
            _record(b"GNU.sparse.name", entry.path), _record(b"GNU.sparse.realsize", b"%d" % entry.size),
        ]  # fmt: skip
    elif len(entry.path) > _NAME_BYTES:
        records.append(_record(b"path", entry.path))
    if len(entry.link) > _NAME_BYTES:
        records.append(_record(b"linkpath", entry.link))
    for keyword, number, most in (
        (b"uid", entry.uid, _MOST_ID),
        (b"gid", entry.gid, _MOST_ID),
        (b"size", held, _MOST_SIZE),
    ):
        if number > most:
            records.append(_record(keyword, b"%d" % number))
    if nanoseconds or not 0 <= seconds <= _MOST_SIZE:
        records.append(_record(b"mtime", _time(entry.mtime_ns)))
    for name, value in sorted((entry.xattrs or {}).items()):
        records.append(_record(b"SCHILY.xattr." + name, value))
    return records


def _record(keyword: bytes, value: bytes) -> bytes:
    """Its length counts its own digits."""
    body = len(keyword) + len(value) + 3
    size = body + len(str(body))
    size = body + len(str(size))
    return b"%d %s=%s\n" % (size, keyword, value)


def _time(nanoseconds: int) -> bytes:
    seconds, fraction = divmod(abs(nanoseconds), 1_000_000_000)
    sign = "-" if nanoseconds < 0 else ""
    return f"{sign}{seconds}.{fraction:09}".rstrip("0").rstrip(".").encode()


def _map(regions: tuple[tuple[int, int], ...]) -> bytes:
    lines = b"%d\n" % len(regions) + b"".join(b"%d\n%d\n" % region for region in regions)
    return lines + padding(len(lines))


def _header(
    path: bytes, kind: bytes, mode: int, uid: int, gid: int, size: int, seconds: int,
    link: bytes = b"", major: int = 0, minor: int = 0,
) -> bytes:  # fmt: skip
    block = bytearray(BLOCK_BYTES)
    block[0 : len(path[:_NAME_BYTES])] = path[:_NAME_BYTES]
    numbers = (
        (100, 8, mode),
        (108, 8, uid),
        (116, 8, gid),
        (124, 12, size),
        (136, 12, seconds),
        (329, 8, major),
        (337, 8, minor),
    )
    for at, width, number in numbers:
        digits = b"%0*o" % (width - 1, number if 0 <= number < 8 ** (width - 1) else 0)
        block[at : at + width - 1] = digits
    block[156:157] = kind
    block[157 : 157 + len(link[:_NAME_BYTES])] = link[:_NAME_BYTES]
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:155] = b"%06o\0" % sum(block)
    return bytes(block)
