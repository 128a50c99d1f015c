"""What whoever builds a tree says to the process that makes it, and what that answers, in lines of JSON."""

from __future__ import annotations

import msgspec

from firkin.linux.id_map import IdMap
from firkin.oci.digest import Digest
from firkin.oci.image import Layer

MODULE = "firkin.rootfs.tree_child"


class LayerFile(msgspec.Struct, frozen=True):
    """A layer, and where its blob lies."""

    digest: str
    diff_id: str
    media_type: str
    size_bytes: int
    path: str

    @property
    def layer(self) -> Layer:
        return Layer(Digest.parse(self.digest), Digest.parse(self.diff_id), self.media_type, self.size_bytes)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Make `root` in the directory `fd` of `layers`; `ours` are the ids that the process itself has."""

    layers: tuple[LayerFile, ...]
    id_map: IdMap
    ours: IdMap
    fd: int
    limit_bytes: int
    devices: bool


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    done: int
    total: int


class Made(msgspec.Struct, frozen=True, tag="made"):
    """`left_out`: the first of `left_out_count` things that the process could not make."""

    names: int
    left_out: tuple[str, ...]
    left_out_count: int


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """`error` is a class of firkin.errors; "" an OSError with `number`."""

    error: str
    message: str
    hint: str = ""
    number: int = 0


Answer = Progress | Made | Failed
