"""Sparse files in tar: GNU's old format and its three pax formats, to (offset, length) regions.

GNU tar manual, appendix D.2 "Storing Sparse Files": a map says which regions of the file the archive holds.
"""

from __future__ import annotations

from firkin.archive import pax
from firkin.archive.chunks import Chunks
from firkin.archive.header import BLOCK_BYTES, number
from firkin.errors import Corrupt

REGION_LIMIT = 1 << 16

Regions = tuple[tuple[int, int], ...]


def old(block: bytes, chunks: Chunks) -> tuple[Regions, int]:
    """Regions and real size of an entry of type S, whose header is `block`; takes its further map blocks."""
    regions = _old_regions(block[386:482])
    more = block[482]
    while more:
        if len(regions) > REGION_LIMIT:
            raise _too_many()
        extension = chunks.take(BLOCK_BYTES)
        regions += _old_regions(extension[:504])
        more = extension[504]
    return tuple(regions), number(block[483:495])


def _old_regions(fields: bytes) -> list[tuple[int, int]]:
    pairs = []
    for at in range(0, len(fields), 24):
        if not fields[at]:
            break
        pairs.append((number(fields[at : at + 12]), number(fields[at + 12 : at + 24])))
    return pairs


def is_pax(records: pax.Records) -> bool:
    return any(keyword.startswith(b"GNU.sparse.") for keyword, _ in records)


def from_pax(records: pax.Records, held: int, chunks: Chunks) -> tuple[Regions, int, int]:
    """Regions, real size, and how many of the `held` bytes were the map, taken from `chunks` (format 1.0)."""
    fields = dict(records)
    size = pax.number(fields.get(b"GNU.sparse.realsize") or fields.get(b"GNU.sparse.size") or b"0")
    if b"GNU.sparse.major" in fields:
        if (fields[b"GNU.sparse.major"], fields.get(b"GNU.sparse.minor")) != (b"1", b"0"):
            raise Corrupt("tar has a sparse file of an unknown format", hint="pack it again without --sparse")
        regions, used = _leading_map(held, chunks)
        return regions, size, used
    if b"GNU.sparse.map" in fields:
        numbers = [pax.number(text) for text in fields[b"GNU.sparse.map"].split(b",") if text]
    else:
        numbers = [pax.number(v) for k, v in records if k in (b"GNU.sparse.offset", b"GNU.sparse.numbytes")]
    return _paired(numbers), size, 0


def name_of(records: pax.Records) -> bytes:
    """The file's true name, which formats 0.1 and 1.0 keep apart from the header's made-up one."""
    return dict(records).get(b"GNU.sparse.name", b"")


def _leading_map(held: int, chunks: Chunks) -> tuple[Regions, int]:
    """Format 1.0: lines of numbers (a count, then pairs) in front of the content, padded to blocks."""
    numbers: list[int] = []
    used, rest = 0, b""
    while not numbers or len(numbers) < 1 + 2 * numbers[0]:
        if used >= held:
            raise Corrupt("tar has a sparse map that does not end")
        *lines, rest = (rest + chunks.take(BLOCK_BYTES)).split(b"\n")
        used += BLOCK_BYTES
        numbers += [pax.number(line) for line in lines if line]
        if numbers and numbers[0] > REGION_LIMIT:
            raise _too_many()
        rest = rest.rstrip(b"\0")
    return _paired(numbers[1 : 1 + 2 * numbers[0]]), used


def _paired(numbers: list[int]) -> Regions:
    if len(numbers) % 2:
        raise Corrupt("tar has a sparse map of an odd length")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def checked(regions: Regions, size: int, held: int) -> Regions:
    """`regions` that ascend inside `size` and add up to `held`, without empty ones. Raises Corrupt."""
    end = total = 0
    for offset, length in regions:
        if length < 0 or offset < end or offset + length > size:
            raise Corrupt("tar has a sparse map whose regions overlap or leave the file")
        end, total = offset + length, total + length
    if total != held or len(regions) > REGION_LIMIT:
        raise Corrupt("tar has a sparse map that does not fit its content")
    return tuple(region for region in regions if region[1])


def _too_many() -> Corrupt:
    return Corrupt(f"tar has a sparse file of more than {REGION_LIMIT} regions")
