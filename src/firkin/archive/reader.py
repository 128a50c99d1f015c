"""TarReader: a stream of chunks to entries and their content, without copying content.

    reader = TarReader(chunks)          # bytes objects of any size
    for entry in reader:
        for piece in reader.content():  # memoryviews into the chunks; what is not taken is skipped
            ...

It holds one chunk at a time, at most PAX_LIMIT_BYTES of headers, and nothing that grows with the archive. Two
zero blocks end an archive, and so does the end of the stream between two entries.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator

from firkin.archive import header, pax, sparse
from firkin.archive.chunks import Chunks
from firkin.archive.entry import HARD_LINK, PATH_LIMIT, Entry
from firkin.archive.header import BLOCK_BYTES, END
from firkin.errors import Corrupt

_KINDS = {
    b"0": stat.S_IFREG,
    b"\0": stat.S_IFREG,
    b"7": stat.S_IFREG,
    b"S": stat.S_IFREG,
    b"1": HARD_LINK,
    b"2": stat.S_IFLNK,
    b"3": stat.S_IFCHR,
    b"4": stat.S_IFBLK,
    b"5": stat.S_IFDIR,
    b"6": stat.S_IFIFO,
}
_EXTENSIONS = b"xXgLKV"
_GLOBALS_LIMIT = 256
_SIZE_LIMIT = 1 << 60
_ID_LIMIT = 1 << 32


class _Extensions:
    """What the headers in front of an entry say about it."""

    __slots__ = ("link", "name", "records")

    def __init__(self) -> None:
        self.name = self.link = b""
        self.records: pax.Records = []


class TarReader:
    """Iterates once over the entries of a tar stream. Raises Corrupt for whatever is no sound archive."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = Chunks(chunks)
        self._content_left = 0
        self._padding = 0
        self._globals: dict[bytes, bytes] = {}

    def __iter__(self) -> Iterator[Entry]:
        next_block, skip = self._chunks.block, self._chunks.skip
        extensions = None
        while (block := next_block()) is not None:
            if block == END:
                if next_block() in (END, None):
                    break
                raise Corrupt("a tar archive has a lone zero block between its entries")
            header.check(block)
            flag = header.type_flag(block)
            if flag in _EXTENSIONS:
                extensions = extensions or _Extensions()
                self._extend(extensions, block, flag)
            else:
                yield self._entry(block, flag, extensions)
                skip(self._content_left + self._padding)
                self._content_left = 0
                extensions = None
        if extensions is not None:
            raise Corrupt("a tar archive ends between an entry and what is said about it")
        self._chunks.drain()

    def content(self) -> Iterator[memoryview]:
        """The content of the current entry, once, in pieces that stay valid while they are referred to.

        Of a sparse file these are its data regions, one after the other.
        """
        while left := self._content_left:
            piece = self._chunks.piece(left)
            self._content_left = left - len(piece)
            yield piece

    def piece(self, limit: int) -> memoryview:
        """At least one and at most `limit` bytes of the current entry's content, which has as many left.

        Raises Corrupt where the archive ends before.
        """
        piece = self._chunks.piece(min(limit, self._content_left))
        self._content_left -= len(piece)
        return piece

    def _extend(self, extensions: _Extensions, block: bytes, flag: bytes) -> None:
        size = header.size(block)
        if size > pax.PAX_LIMIT_BYTES:
            raise Corrupt(f"a tar has an extended header of {size} bytes, more than {pax.PAX_LIMIT_BYTES}")
        content = self._chunks.take(size + -size % BLOCK_BYTES)[:size]
        match flag:
            case b"x" | b"X":
                extensions.records += pax.decode(content)
            case b"L":
                extensions.name = content.partition(b"\0")[0]
            case b"K":
                extensions.link = content.partition(b"\0")[0]
            case b"g":
                self._globals |= pax.decode(content)
        if len(self._globals) > _GLOBALS_LIMIT:
            raise Corrupt(f"a tar has more than {_GLOBALS_LIMIT} global pax records")
        held = sum(len(key) + len(value) for key, value in self._records(extensions))
        if held > pax.PAX_LIMIT_BYTES:
            raise Corrupt(
                f"a tar has more than {pax.PAX_LIMIT_BYTES} bytes of pax headers in front of an entry"
            )

    def _records(self, extensions: _Extensions | None) -> pax.Records:
        """The pax records that apply to an entry, later ones overruling."""
        own = extensions.records if extensions is not None else []
        return [*self._globals.items(), *own] if self._globals else own

    def _entry(self, block: bytes, flag: bytes, extensions: _Extensions | None) -> Entry:
        entry = _plain(block, flag)
        records = self._records(extensions)
        if extensions is not None:
            entry.path = extensions.name or entry.path
            entry.link = extensions.link or entry.link
        if records:
            _overrule(entry, block, records)
        if entry.kind == stat.S_IFREG and entry.path[-1:] == b"/":
            entry.kind = stat.S_IFDIR  # how tar wrote directories before there was a type for them
        if entry.kind != stat.S_IFREG:
            entry.size = 0  # links and devices have no content, whatever their size field says
        held = entry.size
        if flag == b"S":
            regions, entry.size = sparse.old(block, self._chunks)
            entry.sparse = sparse.checked(regions, entry.size, held)
        elif records and held and sparse.is_pax(records):
            entry.path = sparse.name_of(records) or entry.path
            regions, entry.size, used = sparse.from_pax(records, held, self._chunks)
            held -= used
            entry.sparse = sparse.checked(regions, entry.size, held)
        self._content_left = held
        self._padding = -held % BLOCK_BYTES
        _check(entry)
        return entry


def _plain(block: bytes, flag: bytes) -> Entry:
    """The entry as its own header describes it."""
    path = header.name(block)
    kind = _KINDS.get(flag)
    if kind is None:
        raise Corrupt(f"tar entry {path!r} is of unknown type {flag!r}")
    mode, uid, gid = header.mode_and_owner(block)
    mtime_ns = header.mtime(block) * 1_000_000_000
    entry = Entry(path, kind, mode, uid, gid, header.size(block), mtime_ns, header.link(block))
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        entry.major, entry.minor = header.device(block)
    return entry


def _overrule(entry: Entry, block: bytes, records: pax.Records) -> None:
    """Let pax records have their way; an empty value gives the header its say again."""
    for keyword, value in records:
        match keyword:
            case b"mtime":
                entry.mtime_ns = pax.time_ns(value) if value else header.mtime(block) * 1_000_000_000
            case b"atime":
                entry.atime_ns = pax.time_ns(value) if value else None
            case b"ctime":
                entry.ctime_ns = pax.time_ns(value) if value else None
            case b"path":
                entry.path = value or header.name(block)
            case b"linkpath":
                entry.link = value or header.link(block)
            case b"size":
                entry.size = pax.number(value) if value else header.size(block)
            case b"uid":
                entry.uid = pax.number(value) if value else header.mode_and_owner(block)[1]
            case b"gid":
                entry.gid = pax.number(value) if value else header.mode_and_owner(block)[2]
            case b"SCHILY.devmajor":
                entry.major = pax.number(value) if value else header.device(block)[0]
            case b"SCHILY.devminor":
                entry.minor = pax.number(value) if value else header.device(block)[1]
            case _:
                if (pair := pax.xattr(keyword, value)) is not None:
                    entry.xattrs = entry.xattrs or {}
                    entry.xattrs[pair[0]] = pair[1]


def _check(entry: Entry) -> None:
    path = entry.path
    if not path or len(path) > PATH_LIMIT or b"\0" in path:
        raise Corrupt(f"tar entry {path[:80]!r} has an empty, overlong or otherwise impossible name")
    if len(entry.link) > PATH_LIMIT or b"\0" in entry.link:
        raise Corrupt(f"tar entry {path!r} has an overlong or otherwise impossible link target")
    if not (0 <= entry.uid < _ID_LIMIT and 0 <= entry.gid < _ID_LIMIT):
        raise Corrupt(f"tar entry {path!r} has an owner that is no user id: {entry.uid}:{entry.gid}")
    if not 0 <= entry.size < _SIZE_LIMIT:
        raise Corrupt(f"tar entry {path!r} has an impossible size: {entry.size}")
