"""Store: blobs by digest, names by tag, and nothing that is half there. See paths.py for the tree.

Readers take no locks: blobs never change, and names change by rename. Whoever adds holds the data lock
shared from the first blob to the name that stands on it; the sweep holds it exclusively, so it never takes
a blob from under an image that is just arriving. Locks are taken in this order: data lock, then one
partial's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from firkin.errors import Corrupt, DigestMismatch, FirkinError, HostUnsupported, ImageNotFound
from firkin.oci.descriptor import MAX_DOCUMENT_BYTES, Descriptor
from firkin.oci.digest import Digest
from firkin.oci.image import Image
from firkin.oci.image_config import decode_config
from firkin.oci.manifest import Index, Manifest, check_is_image, decode, platform_not_found
from firkin.oci.platform import Platform
from firkin.oci.reference import Reference
from firkin.paths import Paths
from firkin.store.files import disk_errors, replace_file
from firkin.store.ingest import Ingest, open_ingest
from firkin.store.lock import locked
from firkin.store.refs import Refs
from firkin.store.sweep import Marked, Reclaimed, delete_stale, sweep

FORMAT_VERSION = 1
_LOCK_DEADLINE_S = 10.0


class Store:
    """The images under `paths.data`. Synchronous; making one reads the version file and nothing else.

    Raises HostUnsupported where a newer firkin has written there.
    """

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._refs = Refs(paths.refs_dir)
        self._check_version()

    # Blobs

    def blob_path(self, digest: Digest) -> Path:
        return self._paths.blobs_dir / digest.hex

    def has_blob(self, digest: Digest) -> bool:
        return self.blob_path(digest).exists()

    def open_blob(self, digest: Digest) -> BinaryIO:
        """The blob, open for reading; the caller closes it. Raises ImageNotFound."""
        try:
            return open(self.blob_path(digest), "rb")
        except FileNotFoundError as error:
            raise ImageNotFound(f"blob {digest} is not in the store", hint="pull the image again") from error

    def read_blob(self, digest: Digest, limit_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
        """The whole blob, its digest checked. Raises ImageNotFound, or Corrupt where it is longer than the
        limit.
        """
        with self.open_blob(digest) as file:
            content = file.read(limit_bytes + 1)
        if len(content) > limit_bytes:
            raise Corrupt(
                f"blob {digest} has more than {limit_bytes} bytes", hint="ask the image's publisher"
            )
        if Digest.of(content) != digest:
            hint = f"remove {self.blob_path(digest)} and pull the image again"
            raise DigestMismatch(f"blob {digest} in the store has changed on the disk", hint=hint)
        return content

    def ingest(self, digest: Digest, size_bytes: int) -> AbstractContextManager[Ingest]:
        """Bring in the blob `digest`. See open_ingest. Raises InUse where somebody else is bringing it in."""
        self._prepare()
        return open_ingest(self._paths, digest, size_bytes)

    def ingest_unknown(self) -> AbstractContextManager[Ingest]:
        """Bring in a blob whose digest and size only its end will tell."""
        self._prepare()
        return open_ingest(self._paths, None, None)

    def put_blob(self, content: bytes) -> Digest:
        """Keep `content`; its digest."""
        digest = Digest.of(content)
        if not self.has_blob(digest):
            with self.ingest_unknown() as ingest:
                ingest.write(content)
                ingest.commit()
        return digest

    # Names

    def tag(self, reference: Reference, descriptor: Descriptor) -> None:
        """Make `reference` stand for `descriptor`, whose blobs are in the store.

        Whoever brought the blobs in holds `adding` since then; it is no harm to hold it twice.
        """
        with self.adding():
            self._refs.write(reference, descriptor)

    def untag(self, reference: Reference) -> bool:
        """Forget `reference`; False where it is not known. Its blobs stay until a collect."""
        return self._refs.remove(reference)

    def resolve(self, reference: Reference) -> Descriptor | None:
        """What `reference` stands for here. Raises Corrupt."""
        return self._refs.read(reference)

    def tags(self) -> list[tuple[Reference, Descriptor]]:
        """Every name and what it stands for. Raises Corrupt where one cannot be read."""
        tags: list[tuple[Reference, Descriptor]] = []
        for reference, found in self._refs.all():
            if isinstance(found, Corrupt):
                raise found
            tags.append((reference, found))
        return tags

    def records(self) -> list[tuple[Reference, Descriptor | Corrupt]]:
        """Every name with what it stands for, or with the error that tells why that cannot be read."""
        return list(self._refs.all())

    # Images

    def document(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index that `descriptor` describes. Raises ImageNotFound, Corrupt."""
        content = self.read_blob(descriptor.digest)
        return decode(content, descriptor.media_type, f"image {descriptor.digest}")

    def manifest_for(self, descriptor: Descriptor, platform: Platform) -> Descriptor:
        """The manifest for `platform`, where `descriptor` is an index; else itself. Raises
        PlatformNotFound.
        """
        document = self.document(descriptor)
        if isinstance(document, Manifest):
            return descriptor
        return document.select(platform, f"image {descriptor.digest}")

    def image(self, descriptor: Descriptor, platform: Platform) -> Image:
        """The image that `platform` gets of `descriptor`, an index or a manifest, from manifest and config.

        Raises PlatformNotFound, or ImageNotFound where the index is here but this platform's image was not
        pulled.
        """
        chosen = self.manifest_for(descriptor, platform)
        image = self._image(chosen)
        if not platform.runs(image.config.platform):
            raise platform_not_found(platform, [image.config.platform], f"image {descriptor.digest}")
        return image

    def local_images(self, descriptor: Descriptor) -> list[Image]:
        """The images of `descriptor` that are here: itself, or those of an index's manifests that were
        pulled.
        """
        document = self.document(descriptor)
        entries = document.manifests if isinstance(document, Index) else (descriptor,)
        return [self._image(entry) for entry in entries if self.has_blob(entry.digest)]

    def is_complete(self, image: Image) -> bool:
        """Whether all layers of `image` are here."""
        return all(self.has_blob(layer.digest) for layer in image.layers)

    def _image(self, descriptor: Descriptor) -> Image:
        manifest = self.document(descriptor)
        if isinstance(manifest, Index):
            hint = "ask the image's publisher"
            raise Corrupt(f"image {descriptor.digest} is an index inside an index", hint=hint)
        check_is_image(manifest, f"image {descriptor.digest}")
        config = decode_config(self.read_blob(manifest.config.digest), f"config {manifest.config.digest}")
        return Image.of(descriptor, manifest, config)

    # Garbage

    @contextmanager
    def adding(self) -> Iterator[None]:
        """Keep the sweep away while the block brings in blobs and at last the name or container that uses
        them.

        Raises InUse where a sweep lasts longer than 10 s.
        """
        self._prepare()
        path = self._paths.lock_path
        what = "images are being removed by another process"
        with locked(path, shared=True, deadline_s=_LOCK_DEADLINE_S, what=what):
            yield

    def collect(
        self, uses: Callable[[], Iterable[tuple[Digest, str]]], *, deadline_s: float = _LOCK_DEADLINE_S
    ) -> Reclaimed:
        """Delete what neither a name nor one of `uses()` stands on: manifests' digests and rootfs keys.

        They are asked for once nobody is adding any more.

        Raises InUse where somebody is still adding after `deadline_s`; Corrupt where a name or manifest
        cannot be read, since what it stands on is not known. In both cases nothing is deleted but what dead
        writers left.
        """
        self._prepare()
        self.tidy()
        path = self._paths.lock_path
        what = "images are being added by another process"
        with locked(path, shared=False, deadline_s=deadline_s, what=what):
            marked = self._mark(list(uses()))
            with disk_errors(self._paths.data):
                reclaimed = sweep(self._paths, marked)
                self._refs.delete_temporaries()
        self.tidy()
        return reclaimed

    def tidy(self) -> None:
        """Delete what writers who died left half done. Waits for nobody, and hurts nobody who is alive."""
        with disk_errors(self._paths.data):
            delete_stale(self._paths)

    def _mark(self, uses: list[tuple[Digest, str]]) -> Marked:
        blobs: set[Digest] = set()
        chain_ids: set[Digest] = set()
        waiting = [descriptor for _, descriptor in self.tags()]
        waiting += [Descriptor("", digest, 0) for digest, _ in uses]
        while waiting:
            descriptor = waiting.pop()
            if descriptor.digest in blobs or not self.has_blob(descriptor.digest):
                continue
            blobs.add(descriptor.digest)
            document = self.document(descriptor)
            if isinstance(document, Index):
                waiting += document.manifests
                continue
            blobs |= {document.config.digest, *(layer.digest for layer in document.layers)}
            chain_ids |= self._chain_ids(descriptor)
        return Marked(blobs, chain_ids, {rootfs_key for _, rootfs_key in uses})

    def _chain_ids(self, descriptor: Descriptor) -> set[Digest]:
        try:
            return {self._image(descriptor).chain_id}
        except FirkinError:  # a manifest without a readable config has no root file system that could stay
            return set()

    # The tree

    def _prepare(self) -> None:
        """Make the tree's directories and version file where they are missing."""
        if not self._paths.version_path.exists():
            replace_file(self._paths.version_path, f"{FORMAT_VERSION}\n".encode())
        with disk_errors(self._paths.data):
            self._paths.ingest_dir.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _check_version(self) -> None:
        path = self._paths.version_path
        try:
            text = path.read_text()
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise HostUnsupported(f"cannot read {path}: {error}", hint="mend its mode and owner") from error
        if text.strip() != str(FORMAT_VERSION):
            raise HostUnsupported(
                f"{path} says format {text.strip()[:20]!r}; this firkin knows {FORMAT_VERSION}",
                hint="install the newer firkin that wrote it, or choose another directory with XDG_DATA_HOME",
            )
