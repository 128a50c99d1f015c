"""Layers made by hand, and a shelf of blobs to build root file systems from."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

import zstandard

from firkin import rootfs
from firkin.oci.digest import Digest
from firkin.oci.image import Layer
from firkin.rootfs import Rootfs

Member = tuple[tarfile.TarInfo, bytes]
Compression = Literal["gzip", "zstd", "none"]


def member(name: str, content: bytes = b"", /, **fields: object) -> Member:
    """One tar member: a regular file unless `type` says otherwise; the fields are TarInfo's."""
    info = tarfile.TarInfo(name)
    info.mode, info.mtime, info.size = 0o644, 1_600_000_000, len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def directory(name: str, **fields: object) -> Member:
    return member(name, type=tarfile.DIRTYPE, **{"mode": 0o755, **fields})


def symlink(name: str, target: str, **fields: object) -> Member:
    return member(name, type=tarfile.SYMTYPE, linkname=target, **fields)


def hard_link(name: str, target: str, **fields: object) -> Member:
    return member(name, type=tarfile.LNKTYPE, linkname=target, **fields)


def archive(members: Iterable[Member], form: int = tarfile.PAX_FORMAT) -> bytes:
    """The tar archive of `members`, as Python's tarfile writes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def compressed(content: bytes, compression: Compression) -> bytes:
    if compression == "gzip":
        return gzip.compress(content, 1, mtime=0)
    return zstandard.compress(content) if compression == "zstd" else content


@dataclass
class Shelf:
    """Blobs in memory, as a store would hold them."""

    blobs: dict[Digest, bytes | Path] = field(default_factory=dict)

    def put(self, content: bytes | Path, diff_id: Digest, size_bytes: int) -> Layer:
        digest = Digest("sha256:" + hashlib.sha256(repr((diff_id, len(self.blobs))).encode()).hexdigest())
        self.blobs[digest] = content
        return Layer(digest, diff_id, "application/vnd.oci.image.layer.v1.tar", size_bytes)

    def layer(self, tar: bytes, compression: Compression = "none") -> Layer:
        blob = compressed(tar, compression)
        return self.put(blob, Digest.of(tar), len(blob))

    def file(self, blob: Path, tar: Path) -> Layer:
        with tar.open("rb") as opened:
            diff_id = Digest("sha256:" + hashlib.file_digest(opened, "sha256").hexdigest())
        return self.put(blob, diff_id, blob.stat().st_size)

    def open_blob(self, digest: Digest) -> BinaryIO:
        blob = self.blobs[digest]
        return blob.open("rb") if isinstance(blob, Path) else io.BytesIO(blob)

    def build(self, layers: Iterable[Layer], directory: Path, size_bytes: int = 64 << 20) -> Rootfs:
        return rootfs.build(
            tuple(layers), open_blob=self.open_blob, rootfs_dir=directory, size_bytes=size_bytes
        )


def build(rootfs_dir: Path, *layers: Iterable[Member], size_bytes: int = 64 << 20) -> Rootfs:
    """The disk of layers given as members."""
    shelf = Shelf()
    return shelf.build([shelf.layer(archive(members)) for members in layers], rootfs_dir, size_bytes)
