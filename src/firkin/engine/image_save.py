"""ImageSave: images as one file, with their names, for `firkin load`, docker, podman and skopeo.

    docker-archive    <config>.json, <diff id>.tar uncompressed, manifest.json       what docker save writes
    oci-archive       oci-layout, index.json, blobs/sha256/<hex>                     as they are at a registry

The rule: what is written is what its digest says, and the same images make the same bytes.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from firkin.aio.thread import in_thread
from firkin.container.journal import note
from firkin.engine.image_load import CONTAINERD_KEY
from firkin.engine.image_names import parsed
from firkin.engine.images import Images
from firkin.engine.whole_file import whole_file
from firkin.errors import DigestMismatch, ImageNotFound
from firkin.events import event
from firkin.oci.descriptor import Descriptor
from firkin.oci.image import Image, Layer
from firkin.oci.reference import Reference
from firkin.rootfs.inflate import inflated
from firkin.settings import Settings
from firkin.snapshot.oci_archive import NAME_KEY, add_document, write_archive
from firkin.store.store import Store

ArchiveFormat = Literal["docker-archive", "oci-archive"]


class Saved(msgspec.Struct, frozen=True):
    """An image, and the names that go with it."""

    image: Image
    names: tuple[Reference, ...]


async def save(
    settings: Settings,
    names: Sequence[str],
    target: str | Path | BinaryIO,
    *,
    form: ArchiveFormat = "docker-archive",
    platform: str = "",
) -> None:
    """Write the local images `names` to `target`, a path or a stream; a file appears whole.

    Raises ImageNotFound, PlatformNotFound, Corrupt, DigestMismatch, StorageFull.
    """
    images = Images(settings)
    with images.store.adding():
        saved = await in_thread(partial(_chosen, images, names, platform))

        def work() -> None:
            with whole_file(target) as file:
                _WRITERS[form](file, images.store, saved)

        await in_thread(work)
    for each in saved:
        note(settings.paths, "image", "save", str(each.image.config_digest), {"name": _called(each)})


def _called(saved: Saved) -> str:
    return saved.names[0].familiar if saved.names else str(saved.image.config_digest)


def _chosen(images: Images, names: Iterable[str], platform: str) -> list[Saved]:
    """Each image once, with all names that it was asked for by."""
    found: dict[str, Saved] = {}
    for name in names:
        image = images.find(name, platform=platform)
        if not images.store.is_complete(image):
            raise ImageNotFound(f"not all of image {name} is here", hint=f"firkin pull {name}")
        key, reference = str(image.digest), parsed(name)
        known = found[key].names if key in found else ()
        is_name = reference is not None and reference.digest is None and images.store.resolve(reference)
        found[key] = Saved(image, (*known, reference) if reference is not None and is_name else known)
    return [*found.values()]


def _write_docker(file: BinaryIO, store: Store, saved: Sequence[Saved]) -> None:
    entries = []
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        layers = {layer.diff_id: layer for each in saved for layer in each.image.layers}
        for layer in layers.values():
            _add_layer(tar, store, layer)
        for digest in {each.image.config_digest: None for each in saved}:
            add_document(tar, f"{digest.hex}.json", store.read_blob(digest))
        for each in saved:
            entries.append(
                {
                    "Config": f"{each.image.config_digest.hex}.json",
                    "RepoTags": [name.familiar for name in each.names] or None,
                    "Layers": [_layer_path(layer) for layer in each.image.layers],
                }
            )
        add_document(tar, "manifest.json", msgspec.json.encode(entries))


def _write_oci(file: BinaryIO, store: Store, saved: Sequence[Saved]) -> None:
    listed = []
    for each in saved:
        document = store.read_blob(each.image.digest)
        described = store.document(Descriptor("", each.image.digest, len(document)))
        manifest = Descriptor(
            described.media_type, each.image.digest, len(document), each.image.config.platform
        )
        annotated = [{NAME_KEY: str(name), CONTAINERD_KEY: str(name)} for name in each.names] or [{}]
        listed += [(manifest, annotations) for annotations in annotated]
    write_archive(file, store, listed)


_WRITERS = {"docker-archive": _write_docker, "oci-archive": _write_oci}


def _layer_path(layer: Layer) -> str:
    return f"{layer.diff_id.hex}.tar"


def _add_layer(tar: tarfile.TarFile, store: Store, layer: Layer) -> None:
    """The layer uncompressed, for which it is read twice: a tar says first how long a file is."""
    with store.open_blob(layer.digest) as blob:
        info = tarfile.TarInfo(_layer_path(layer))
        info.size = sum(map(len, inflated(blob)))
        blob.seek(0)
        content = _Hashed(inflated(blob))
        tar.addfile(info, content)  # type: ignore[arg-type]  # it reads
    if content.digest != str(layer.diff_id):
        raise DigestMismatch(
            f"layer {layer.digest} uncompresses to {content.digest}, not to {layer.diff_id}",
            hint="remove the image and pull it again",
        )
    event("snapshot.written", digest=str(layer.digest), total=info.size)


class _Hashed:
    """Pieces as a file, hashed as they are read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end."""
        while len(self._rest) < size and (piece := next(self._pieces, b"")):
            self._hash.update(piece)
            self._rest += piece
        found, self._rest = self._rest[:size], self._rest[size:]
        return found
