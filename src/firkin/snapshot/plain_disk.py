"""PlainDisk: the head of a layer's qcow2 file as it travels: it says nothing of the host it comes from.

QEMU is told who stands on whom, so a layer that travels names no backing file and has no extensions; and one
that comes from elsewhere has to be so. What else its header may not say is in machine.qcow2_header.
"""

from __future__ import annotations

from pathlib import Path

from firkin.errors import Corrupt
from firkin.machine.qcow2_header import HEADER, HEADER_BYTES, Header
from firkin.machine.qcow2_layer import Layer

_BACKING, _SNAPSHOTS, _FEATURES = slice(2, 4), slice(11, 13), slice(13, 16)
_COMPRESSION = 8
_CLUSTER_BITS, _LENGTH = 4, 17


def plain_head(raw: bytes, file_bytes: int) -> bytes:
    """The first cluster of a layer, `raw`, without its backing file's name and its extensions.

    Raises Corrupt where the header is not one that a VMM of ours writes.
    """
    header = Header.parse(raw[:HEADER_BYTES], file_bytes)
    fields = list(HEADER.unpack_from(raw))
    if any(fields[_SNAPSHOTS]):
        raise Corrupt("has snapshots of its own")
    kind = raw[HEADER.size : HEADER_BYTES] if fields[_LENGTH] >= HEADER_BYTES else b""
    fields[_BACKING] = (0, 0)
    fields[_FEATURES] = (_COMPRESSION if header.zstd else 0, 0, 0)
    fields[_LENGTH] = HEADER.size + len(kind)
    return (HEADER.pack(*fields) + kind).ljust(cluster_bytes(raw), b"\0")


def cluster_bytes(raw: bytes) -> int:
    """The size of a cluster, by the start of the file. Raises Corrupt."""
    if len(raw) < HEADER.size:
        raise Corrupt("is too short for a qcow2 header")
    bits: int = HEADER.unpack_from(raw)[_CLUSTER_BITS]
    if not 9 <= bits <= 21:
        raise Corrupt(f"has clusters of 2^{bits} bytes")
    return 1 << bits


def check_plain(path: Path, most_bytes: int) -> None:
    """Raise Corrupt where the layer in the file `path`, which somebody else wrote, is not as one that travels
    has to be, or is a disk of more than `most_bytes`.
    """
    with Layer(path) as layer:
        if layer.size_bytes > most_bytes:
            raise Corrupt(f"a disk's layer is of {layer.size_bytes} bytes, more than {most_bytes}")
        for _ in layer.allocated():  # every table is where one can be
            pass
    with open(path, "rb") as file:
        raw = file.read(HEADER.size)
        file.seek(0)
        head = file.read(cluster_bytes(raw))
    if plain_head(head, path.stat().st_size) != head:
        raise Corrupt("a disk's layer names a backing file, or says more than a disk has to")
