"""Apply: the layers of an image, one on the other, each verified behind its last byte."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Protocol

from firkin.archive import Entry, TarReader
from firkin.errors import IntegrityError
from firkin.events import event
from firkin.ext4 import File
from firkin.oci.image import Layer
from firkin.rootfs.record import OpenBlob
from firkin.rootfs.stream import Budget, LayerStream
from firkin.rootfs.tree import Tree

_BUDGET_SPARE_BYTES = 256 << 20


class Places(Protocol):
    """Whoever puts the content of files somewhere."""

    def place(self, file: File, entry: Entry, reader: TarReader) -> None:
        """Take the content of `entry`, which has some, from `reader`."""


def apply(
    layers: Sequence[Layer], open_blob: OpenBlob, tree: Tree, content: Places, limit_bytes: int
) -> None:
    """Make `tree` of the layers, bottom first. Tells event "rootfs.progress" (done, total).

    Raises IntegrityError for a bad layer, StorageFull when they are far more than `limit_bytes` can hold.
    """
    with closing(_streams(layers, open_blob, limit_bytes)) as streams:
        for layer, pieces in streams:
            _apply(layer, pieces, tree, content)


def _apply(layer: Layer, pieces: Iterator[bytes], tree: Tree, content: Places) -> None:
    """Apply one layer to the tree and the disk. Raises what is wrong with it, with its name in front."""
    try:
        reader = TarReader(pieces)
        for entry in reader:
            file = tree.add(entry)
            if file is not None and file.size:
                content.place(file, entry, reader)
    except IntegrityError as error:
        raise type(error)(f"layer {layer.digest}: {error}", hint=error.hint) from error
    tree.next_layer()


def _streams(
    layers: Sequence[Layer], open_blob: OpenBlob, limit_bytes: int
) -> Generator[tuple[Layer, Iterator[bytes]], None, None]:
    """Each layer with its tar bytes, verified behind the last one; the next is inflated ahead meanwhile."""
    budget = Budget(2 * limit_bytes + _BUDGET_SPARE_BYTES)
    total = sum(layer.size_bytes for layer in layers)
    done = 0
    with ExitStack() as stack:

        def start(layer: Layer) -> LayerStream:
            return stack.enter_context(LayerStream(stack.enter_context(open_blob(layer.digest))))

        streams = [start(layers[0])]
        for index, layer in enumerate(layers):
            if index + 1 < len(layers):
                streams.append(start(layers[index + 1]))
            stream = streams.pop(0)
            yield layer, _watched(budget.metered(iter(stream)), stream, done, total)
            stream.verify(layer.diff_id)
            done += layer.size_bytes


def _watched(pieces: Iterator[bytes], stream: LayerStream, done: int, total: int) -> Iterator[bytes]:
    for piece in pieces:
        event("rootfs.progress", done=done + stream.read_bytes, total=total)
        yield piece
