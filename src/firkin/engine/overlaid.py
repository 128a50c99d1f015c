"""Overlaid: containers that write files over a file system that is only read, and not blocks over a disk.

    with a writable layer    over the disk of its image
    in a pod                 over the image's layers in the pod's store; compared with the disk that the image
                             has on this host, which is built where it is missing

What was written comes as a tar from an agent: of a running one that of its machine, else that of one that is
started for it. The files of a running one are as they are when their turn comes, as those of its export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from firkin.aio.bridge import read_in_thread
from firkin.aio.thread import in_thread
from firkin.container.pod import Member
from firkin.container.spec import ContainerSpec
from firkin.engine.container import Container
from firkin.engine.opened_trees import trees_of
from firkin.engine.pod_members import image_of
from firkin.errors import Corrupt
from firkin.ext4.reader.file_system import FileSystem
from firkin.machine.qcow2_disk import Disk
from firkin.rootfs.cache import build
from firkin.settings import Settings
from firkin.snapshot import stack
from firkin.snapshot.stack import Stack
from firkin.store.store import Store
from firkin.wire.trees import Pack

T = TypeVar("T")

_WRITTEN = Pack(paths=(b"/",), names=(b".",), mounts=False, written=True)
_MOST_BYTES = 1 << 44
"""Of a tar, whose guest could go on for ever."""


def is_overlaid(spec: ContainerSpec) -> bool:
    """Whether `spec` is of such a container."""
    return spec.root.layer is not None or isinstance(spec.pod, Member)


async def written(
    container: Container, settings: Settings, work: Callable[[Iterator[bytes], FileSystem], T]
) -> T:
    """What `work`, in a thread, makes of the tar of what `container` has written, and of what is below that.

    Raises what it raises, as trees_of(), and as building the disk of an image.
    """
    store = Store(settings.paths)
    with store.adding():
        below = await in_thread(partial(_below, store, container.spec, settings))

        def read(pieces: Iterator[bytes]) -> T:
            with Disk.open(below.layers, below.image) as disk:
                return work(_metered(pieces), FileSystem(disk, below.name))

        async with trees_of(container, settings) as trees, trees.pack(_WRITTEN) as archived:
            return await read_in_thread(archived.read, read)


def _below(store: Store, spec: ContainerSpec, settings: Settings) -> Stack:
    if not isinstance(spec.pod, Member):
        return stack.of_image(settings.paths, spec.rootfs_key, spec.image)
    rootfs = build(
        image_of(store, spec).layers,
        open_blob=store.open_blob,
        rootfs_dir=settings.paths.rootfs_dir,
        size_bytes=settings.disk_bytes,
    )
    return Stack(f"image {spec.image!r}", (), rootfs.image_path)


def _metered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    left = _MOST_BYTES
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise Corrupt(f"what was written are more than {_MOST_BYTES} bytes")
        yield piece
