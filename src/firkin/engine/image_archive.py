"""ImageArchive: a tar of a root file system becomes an image of one layer.

The layer is kept as it was given, plain or compressed: so the same archive always gives the same image,
whatever version of zlib is installed, and nothing waits for a compressor. For the same reason the image's
date is that of the newest file in it. The archive is read through once, to its end, before anything of it
is kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import select
import stat
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from firkin.aio.thread import in_thread
from firkin.archive import TarReader
from firkin.engine.image_changes import changed
from firkin.errors import Corrupt, UsageError
from firkin.events import event
from firkin.oci import media_types as types
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.oci.image_config import History, ImageConfig, encode_config
from firkin.oci.manifest import Manifest, encode_manifest
from firkin.oci.platform import Platform
from firkin.rootfs.inflate import inflated
from firkin.store.ingest import Ingest
from firkin.store.store import Store

MAX_UNCOMPRESSED_BYTES = 64 << 30
MAX_ENTRIES = 4 << 20
_CHUNK_BYTES = 1 << 20
_MEDIA_TYPES = {b"\x1f\x8b": types.OCI_LAYER_GZIP, b"\x28\xb5": types.OCI_LAYER_ZSTD}


@dataclass(frozen=True, slots=True)
class Content:
    """What an archive holds, as far as an image has to say it."""

    media_type: str
    diff_id: Digest
    newest_ns: int


async def import_archive(
    store: Store,
    source: str | Path | BinaryIO,
    *,
    platform: Platform,
    changes: Sequence[str] = (),
    message: str = "",
) -> Descriptor:
    """Bring the archive `source`, a path or a stream, into `store` as an image; its manifest.

    The image has no name yet: the caller holds store.adding() until it has. Raises UsageError, Corrupt,
    UnsupportedMediaType, StorageFull; then nothing is kept.
    """
    config = changed(ImageConfig(platform=platform, diff_ids=()), changes)  # a bad change costs no reading
    with ExitStack() as stack:
        stream = stack.enter_context(_opened(source)) if isinstance(source, str | Path) else source
        ingest = stack.enter_context(store.ingest_unknown())
        async for chunk in _chunks(stream):
            await asyncio.to_thread(ingest.write, chunk)
        content = await in_thread(partial(_examine, ingest, str(getattr(stream, "name", "stream"))))
        digest = await in_thread(ingest.commit)
        layer = Descriptor(content.media_type, digest, ingest.offset)
    return await in_thread(partial(_put_image, store, layer, content, config, message))


def _put_image(
    store: Store, layer: Descriptor, content: Content, config: ImageConfig, message: str
) -> Descriptor:
    import msgspec

    created = datetime.fromtimestamp(content.newest_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    history = History(created=created, created_by="firkin import", comment=message or None)
    document = encode_config(
        msgspec.structs.replace(config, created=created, diff_ids=(content.diff_id,), history=(history,))
    )
    described = Descriptor(types.OCI_CONFIG, store.put_blob(document), len(document))
    manifest = encode_manifest(Manifest(types.OCI_MANIFEST, described, (layer,)))
    return Descriptor(types.OCI_MANIFEST, store.put_blob(manifest), len(manifest))


def _examine(ingest: Ingest, name: str) -> Content:
    """Walk the whole archive: whether it is sound, its diff id, its newest date."""
    hashed = hashlib.sha256()
    entries, newest_ns = 0, 0
    with ingest.read_back() as blob:
        start = blob.read(2)
        blob.seek(0)
        for entry in TarReader(_metered(inflated(blob), hashed, name)):
            entries += 1
            newest_ns = max(newest_ns, entry.mtime_ns)
            if entries > MAX_ENTRIES:
                raise Corrupt(f"{name} holds more than {MAX_ENTRIES} files", hint="split it")
    if not entries:
        raise Corrupt(f"{name} is not a tar archive, or an empty one", hint="make one with `tar -c`")
    media_type = _MEDIA_TYPES.get(start, types.OCI_LAYER)
    return Content(media_type, Digest(f"sha256:{hashed.hexdigest()}"), min(newest_ns, time.time_ns()))


def _metered(chunks: Iterator[bytes], hashed: hashlib._Hash, name: str) -> Iterator[bytes]:
    """`chunks`, hashed as they pass, up to a bound. Each is told, so that a cancelled import ends here."""
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > MAX_UNCOMPRESSED_BYTES:
            raise Corrupt(
                f"{name} uncompresses to more than {MAX_UNCOMPRESSED_BYTES >> 30} GiB", hint="split it"
            )
        event("import.progress", done=total)
        hashed.update(chunk)
        yield chunk


def _opened(path: str | Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", hint="name a tar archive, or - for stdin"
        ) from error


async def _chunks(stream: BinaryIO) -> AsyncIterator[bytes]:
    """The stream's bytes. A pipe is waited for by the event loop, so that Ctrl-C gets through."""
    pipe = _waitable(stream)
    while True:
        if pipe is None:
            chunk = await asyncio.to_thread(stream.read, _CHUNK_BYTES)
        else:
            await _readable(pipe)
            chunk = os.read(pipe, _CHUNK_BYTES)
        if not chunk:
            return
        yield chunk


def _waitable(stream: BinaryIO) -> int | None:
    """The stream's descriptor where reading may have to wait, and nothing of it was buffered; else None."""
    try:
        fd = stream.fileno()
    except (OSError, AttributeError):
        return None
    kind = os.fstat(fd).st_mode
    return fd if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or stat.S_ISCHR(kind) else None


async def _readable(fd: int) -> None:
    if select.select([fd], [], [], 0)[0]:
        return
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _set, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
