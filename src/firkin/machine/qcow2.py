"""An empty qcow2 overlay over a raw image or over a layer that stands still: where a container's writes go
(docs/interop/qcow2.txt in QEMU's tree).

    cluster 0   header (version 3), backing format extension, backing file name
    cluster 1   refcount table     cluster 2   its first block     cluster 3..   L1 table

The rule: the overlay holds no data, so everything that it needs fits in the clusters that one refcount block
counts.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Literal

from firkin.errors import HostUnsupported, StorageFull, UsageError
from firkin.machine.qcow2_header import HEADER, MAGIC

_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
_REFCOUNT_ORDER = 4
_L1_AT = 3 * _CLUSTER
_BACKING_FORMAT = 0xE2792ACA
MAX_SIZE_BYTES = 1 << 50
"""L1 then has 2^21 entries, 16 MiB; QEMU accepts up to 32 MiB."""


def create_overlay(
    path: Path,
    backing: Path,
    size_bytes: int,
    *,
    backing_format: Literal["raw", "qcow2"] = "raw",
    backing_bytes: int | None = None,
) -> None:
    """Write an empty overlay of `size_bytes` (rounded up to 64 KiB) over `backing`; `path` is new. A block
    device, whose file says nothing of its size, has `backing_bytes`.

    What it says about its backing is for people: machines are told who stands on whom. Raises UsageError
    where the size is not from the backing's to 1 PiB, StorageFull or HostUnsupported where it cannot be
    written, Corrupt for a backing that is no qcow2 file but should be; nothing is left at `path` then.
    """
    try:
        least = _size(backing, backing_format) if backing_bytes is None else backing_bytes
        if not least <= size_bytes <= MAX_SIZE_BYTES:
            raise UsageError(
                f"a disk of {size_bytes} bytes cannot hold an image of {least} bytes", hint="ask for more"
            )
        _write(path, overlay_clusters(str(backing.absolute()), size_bytes, backing_format))
    except OSError as error:
        kind = StorageFull if error.errno in (28, 122) else HostUnsupported
        raise kind(
            f"cannot make disk {path}: {error.strerror}", hint="make room, or choose another data_dir"
        ) from error


def overlay_clusters(backing: str, size_bytes: int, backing_format: str = "raw") -> list[tuple[int, bytes]]:
    """The parts of the file that are not zero, each with its offset. Raises UsageError for a name beyond 1023
    bytes.
    """
    size_bytes = -(-size_bytes // _CLUSTER) * _CLUSTER
    per_l1_entry = _CLUSTER * (_CLUSTER // 8)
    l1_entries = -(-size_bytes // per_l1_entry)
    l1_clusters = -(-l1_entries * 8 // _CLUSTER)
    name = os.fsencode(backing)
    if len(name) > 1023:
        raise UsageError(
            f"the path of the image is too long for qcow2: {backing}", hint="choose a shorter data_dir"
        )
    extensions = _extension(_BACKING_FORMAT, backing_format.encode()) + _extension(0, b"")
    name_at = HEADER.size + len(extensions)
    header = HEADER.pack(
        MAGIC, 3, name_at, len(name), _CLUSTER_BITS, size_bytes, 0, l1_entries, _L1_AT,
        _CLUSTER, 1, 0, 0, 0, 0, 0, _REFCOUNT_ORDER, HEADER.size,
    )  # fmt: skip
    refcount_table = struct.pack(">Q", 2 * _CLUSTER)
    refcounts = struct.pack(">H", 1) * (3 + l1_clusters)
    end_of_l1 = _L1_AT + l1_clusters * _CLUSTER
    return [
        (0, header + extensions + name),
        (_CLUSTER, refcount_table),
        (2 * _CLUSTER, refcounts),
        (end_of_l1, b""),
    ]


def _size(backing: Path, backing_format: str) -> int:
    return backing.stat().st_size if backing_format == "raw" else _virtual_size(backing)


def _virtual_size(layer: Path) -> int:
    from firkin.machine.qcow2_layer import Layer

    with Layer(layer) as opened:
        return opened.size_bytes


def _extension(kind: int, data: bytes) -> bytes:
    return struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)


def _write(path: Path, parts: list[tuple[int, bytes]]) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for offset, data in parts:
            os.pwrite(fd, data, offset)
        os.ftruncate(fd, parts[-1][0])
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
