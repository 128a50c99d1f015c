"""Images: what a user does with images by name. Here the registry fills the store, and names get their
meaning.

A name stands for what its registry said, an index or a manifest. Of an index those platforms are here that
were asked for. A container that stands on an image keeps its blobs and its disk, whatever becomes of the
name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from firkin.aio.thread import in_thread
from firkin.container.journal import note
from firkin.engine.image_names import (
    foreign_here,
    here,
    images_of,
    is_pinned,
    lookup,
    names_to_remove,
    readable,
)
from firkin.engine.image_summary import ImageSummary, summaries
from firkin.engine.image_use import ImageUse, image_uses
from firkin.engine.options import PullPolicy
from firkin.errors import Conflict, Corrupt, ImageNotFound, InUse, PlatformNotFound, UsageError
from firkin.events import event, stage
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.oci.image import Image
from firkin.oci.manifest import Manifest
from firkin.oci.media_types import SNAPSHOT_CONFIG
from firkin.oci.platform import Platform
from firkin.oci.reference import Reference
from firkin.settings import Settings
from firkin.store.store import Store
from firkin.store.sweep import Reclaimed

if TYPE_CHECKING:
    from firkin.snapshot.record import Snapshot

__all__ = ["ImageSummary", "Images"]

UNNAMED = Reference("localhost", "imported", "")


class Images:
    """The images of one store. Making one costs nothing and changes nothing."""

    def __init__(
        self,
        settings: Settings,
        store: Store | None = None,
        *,
        uses: Callable[[], Iterable[ImageUse]] | None = None,
    ) -> None:
        self.store = Store(settings.paths) if store is None else store
        self._settings = settings
        self._uses = (lambda: image_uses(settings.paths)) if uses is None else uses

    # Getting

    async def pull(self, name: str, *, platform: str = "", policy: PullPolicy = "missing") -> Image:
        """The image `name` for `platform` (the setting's, else this host's), fetched as `policy` says.

        "missing" fetches what is not here, "always" asks the registry first, "never" stays at home. What is
        named by its digest is never fetched twice. Where no platform is named, one that is here for another
        alone is taken, unless "always" is said. What is fetched has to meet the policy (policy.json); what
        is here has met it. Raises ReferenceSyntaxError, ImageNotFound, PlatformNotFound, Untrusted,
        RegistryError, IntegrityError, StorageFull.
        """
        wanted = self._platform(platform)
        found = here(self.store, name, wanted)
        if found is None and not (platform or self._settings.platform or policy == "always"):
            found = foreign_here(self.store, name)
        if found is not None and (policy != "always" or is_pinned(name)):
            return found
        if policy == "never":
            raise ImageNotFound(
                f"image {name} for {wanted} is not here, and must not be pulled", hint=f"firkin pull {name}"
            )
        fetched = await self._fetch(Reference.parse(name), wanted)
        assert isinstance(fetched, Image)  # nothing else was allowed
        return fetched

    async def pull_any(self, name: str, *, platform: str = "", snapshot_name: str = "") -> Image | Snapshot:
        """What `name` stands for at its registry: an image, as pull() with "always", or a snapshot.

        A snapshot gets `snapshot_name`, else the name that it had. Raises as pull() and unpack() do.
        """
        wanted = self._platform(platform)
        found = here(self.store, name, wanted)
        if found is not None and is_pinned(name):
            return found
        fetched = await self._fetch(
            Reference.parse(name), wanted, frozenset({SNAPSHOT_CONFIG}), snapshot_name
        )
        if not isinstance(fetched, Image):
            await self.sweep()
        return fetched

    async def _fetch(
        self,
        reference: Reference,
        platform: Platform,
        artifacts: frozenset[str] = frozenset(),
        snapshot_name: str = "",
    ) -> Image | Snapshot:
        from firkin.engine.trusting import judge_of
        from firkin.registry.client import RegistryClient

        with self.store.adding():
            async with RegistryClient(self._settings) as client:
                judge = judge_of(self._settings, client, reference)
                descriptor = await client.pull(reference, platform, self.store, judge, artifacts)
            if artifacts and self._is_snapshot(descriptor):
                return await self._unpack(descriptor, snapshot_name)
            await in_thread(partial(self.store.tag, reference, descriptor))
            image = self.store.image(descriptor, platform)
        self._note("pull", reference)
        await in_thread(self.store.tidy)
        return image

    def _is_snapshot(self, descriptor: Descriptor) -> bool:
        document = self.store.document(descriptor)
        return isinstance(document, Manifest) and document.config.media_type == SNAPSHOT_CONFIG

    async def _unpack(self, descriptor: Descriptor, name: str) -> Snapshot:
        from firkin.snapshot.unpack import unpack

        return await in_thread(partial(unpack, self._settings.paths, self.store, descriptor, name=name))

    async def import_archive(
        self,
        source: str | Path | BinaryIO,
        name: str = "",
        *,
        changes: Sequence[str] = (),
        message: str = "",
        platform: str = "",
    ) -> Image:
        """An image of one layer from a tar of a root file system, a path or a stream; see
        engine.image_archive.

        Without a `name` it is known by its id. Raises UsageError, Untrusted, Corrupt, UnsupportedMediaType,
        StorageFull.
        """
        from firkin.engine.image_archive import import_archive
        from firkin.engine.trusting import check_archive
        from firkin.trust.subject import Subject

        wanted = self._platform(platform)
        reference = Reference.parse(name) if name else UNNAMED
        if name and reference.digest is not None:
            raise UsageError(
                f"cannot import as {name!r}: its digest is not yet known", hint="leave the @ away"
            )
        title = str(source if isinstance(source, str | Path) else getattr(source, "name", "stream"))
        check_archive(self._settings, Subject.of_tarball(title))
        with self.store.adding(), stage("import", reference=name):
            descriptor = await import_archive(
                self.store, source, platform=wanted, changes=changes, message=message
            )
            if not name:
                reference = reference.with_digest(descriptor.digest)
            await in_thread(partial(self.store.tag, reference, descriptor))
            self._note("import", reference)
            return self.store.image(descriptor, wanted)

    # Looking

    def find(self, name: str, *, platform: str = "") -> Image:
        """The local image of a name, an id or the unique beginning of one.

        Without a `platform` it is this host's, or whichever is here. Raises ImageNotFound, PlatformNotFound.
        """
        descriptor = lookup(self.store, name)
        try:
            return self.store.image(descriptor, self._platform(platform))
        except (ImageNotFound, PlatformNotFound):
            local = self.store.local_images(descriptor)
            if platform or not local:
                raise
            return local[0]

    def summaries(self) -> list[ImageSummary]:
        """Every name and image, the newest first; what cannot be read is listed too."""
        return summaries(self.store)

    # Naming and removing

    def tag(self, source: str, target: str) -> None:
        """Give the local image `source`, a name or an id, the name `target` too. Raises ImageNotFound."""
        reference = Reference.parse(target)
        if reference.digest is not None:
            raise UsageError(f"cannot tag {source} as {target!r}: a digest is no tag", hint="write name:tag")
        with self.store.adding():
            self.store.tag(reference, lookup(self.store, source))
        self._note("tag", reference)

    async def remove(self, name: str, *, force: bool = False) -> list[str]:
        """Take a name away, or by an id all of an image's names; what happened, as Docker's lines say it.

        The last name goes only when no container stands on the image: InUse names who does. `force` lets it
        go where they have ended; what they stand on stays until they are removed. Raises ImageNotFound,
        Conflict.
        """
        descriptor, names = names_to_remove(self.store, name)
        if len(names) > 1 and not force:
            known = ", ".join(each.familiar for each in names)
            raise Conflict(
                f"image {name} has several names: {known}", hint="remove them by name, or use --force"
            )
        images = images_of(self.store, descriptor)
        if not self._has_other_names(descriptor, names):
            self._check_unused(name, images, force=force)
        for each in names:
            await in_thread(partial(self.store.untag, each))
            self._note("untag", each)
        lines = [f"Untagged: {each.familiar}" for each in names]
        await self.sweep()
        gone = [image.config_digest for image in images if not self.store.has_blob(image.digest)]
        for digest in gone:
            note(self._settings.paths, "image", "delete", str(digest), {"name": name})
        return [*lines, *(f"Deleted: {digest}" for digest in gone)]

    def _note(self, action: str, reference: Reference) -> None:
        note(self._settings.paths, "image", action, reference.familiar, {"name": reference.familiar})

    async def prune(self) -> Reclaimed:
        """Delete whatever neither a name nor a container stands on. Raises InUse while somebody is adding."""
        return await in_thread(self._collect)

    def _collect(self, deadline_s: float = 10.0) -> Reclaimed:
        def uses() -> list[tuple[Digest, str]]:
            return [(use.manifest, use.rootfs_key) for use in self._uses()]

        return self.store.collect(uses, deadline_s=deadline_s)

    async def sweep(self) -> None:
        """Delete what nothing stands on, unless somebody is adding right now."""
        try:
            await in_thread(partial(self._collect, 0.0))
        except (InUse, Corrupt) as error:  # what was to be done is done; the next sweep takes the rest
            event("images.not_swept", reason=str(error))

    def _has_other_names(self, descriptor: Descriptor | None, names: list[Reference]) -> bool:
        found = [
            known for known, other in readable(self.store) if descriptor and other.digest == descriptor.digest
        ]
        return any(known not in names for known in found)

    def _check_unused(self, name: str, images: Iterable[Image], *, force: bool) -> None:
        manifests = {image.digest for image in images}
        for use in self._uses():
            if use.manifest in manifests and (use.lasting or not force):
                raise InUse(f"image {name} is used by {use.user}", hint=use.removal)

    # Lookups

    def _platform(self, text: str) -> Platform:
        chosen = text or self._settings.platform
        return Platform.parse(chosen) if chosen else Platform.host()
