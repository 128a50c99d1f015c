"""ImagePush: a local image to a registry, under its own name or another.

What is pushed is what the name stands for, unchanged, so its digest there is its digest here. Of an index
whose images are not all here, the image of one platform is pushed, and an event says so: an index that names
what nobody can pull would be a lie.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firkin.engine.image_names import lookup, parsed, readable
from firkin.errors import FirkinError, ImageNotFound, UsageError
from firkin.events import event
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.oci.manifest import Index, Manifest
from firkin.oci.platform import Platform
from firkin.oci.reference import Reference
from firkin.settings import Settings
from firkin.store.store import Store

if TYPE_CHECKING:
    from firkin.trust.key import PrivateKey


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a registry has now: under which name, with which digest, and the size of its manifest."""

    reference: str
    digest: str
    size_bytes: int


async def push(
    settings: Settings,
    store: Store,
    name: str,
    destination: str = "",
    *,
    platform: str = "",
    key: PrivateKey | None = None,
) -> Pushed:
    """Push the local image `name`, a name or an id, as `destination`, else under its own name.

    Of an index only the image for `platform`, where one is given. Signed by `key`, where there is one. Raises
    ImageNotFound, ReferenceSyntaxError, UsageError, NotFound, RegistryError, IntegrityError, Timeout.
    """
    from firkin.registry.client import RegistryClient

    target = destination_of(store, name, destination)
    with store.adding():  # nobody sweeps away what is on its way
        found = lookup(store, name)
        chosen = _chosen(settings, store, found, name, target, platform)
        sources = _sources(store, target, set(_blobs(store, chosen)))
        async with RegistryClient(settings) as client:
            await client.push(target, chosen, store, sources)
            if key is not None:
                from firkin.engine.image_sign import sign

                await sign(client, target, chosen, store, key)
    return Pushed(str(target), str(chosen.digest), chosen.size_bytes)


def destination_of(store: Store, name: str, destination: str) -> Reference:
    """The name at the registry. Raises ReferenceSyntaxError, ImageNotFound, UsageError."""
    if destination:
        return parsed_destination(name, destination)
    target = parsed(name)
    if target is None or store.resolve(target) is None:
        lookup(store, name)  # an id, or nothing at all
        raise UsageError(f"{name} is an id, and says no place", hint=f"firkin push {name} HOST/NAME:TAG")
    return _tagged(name, target)


def parsed_destination(name: str, destination: str) -> Reference:
    """Where to push `name`. Raises ReferenceSyntaxError, UsageError."""
    return _tagged(name, Reference.parse(destination.removeprefix("docker://")))


def _tagged(name: str, target: Reference) -> Reference:
    if target.digest is not None:
        raise UsageError(
            f"cannot push to {target.familiar}: a digest is no tag",
            hint=f"firkin push {name} {target.name}:TAG",
        )
    return target


def _chosen(
    settings: Settings, store: Store, found: Descriptor, name: str, target: Reference, platform: str
) -> Descriptor:
    """What to push of `found`: itself if all of it is here, else one platform's manifest, all of it here."""
    document = store.document(found)
    if isinstance(document, Index) and not platform:
        absent = [entry for entry in document.manifests if _missing(store, entry) is not None]
        if not absent:
            return found
        manifest = _one(settings, store, found, document)
        names = ", ".join(sorted({str(entry.platform or entry.digest) for entry in absent}))
        event("push.partial", reference=str(target), digest=str(manifest.digest), absent=names)
    else:
        manifest = store.manifest_for(found, Platform.parse(platform)) if platform else found
    missing = _missing(store, manifest)
    if missing is not None:
        hint = f"firkin pull {f'--platform {platform} ' if platform else ''}{name}"
        raise ImageNotFound(f"image {name} is not whole here: {missing} is missing", hint=hint)
    return manifest


def _one(settings: Settings, store: Store, found: Descriptor, index: Index) -> Descriptor:
    """The manifest of an index that is meant: this user's platform's, else the first that is here."""
    wanted = Platform.parse(settings.platform) if settings.platform else Platform.host()
    try:
        meant = index.select(wanted, f"image {found.digest}")
    except FirkinError:
        meant = found
    here = [entry for entry in index.manifests if _missing(store, entry) is None]
    return meant if meant in here or not here else here[0]


def _missing(store: Store, manifest: Descriptor) -> Digest | None:
    """The first blob of `manifest` that is not here."""
    if not store.has_blob(manifest.digest):
        return manifest.digest
    return next((digest for digest in _blobs(store, manifest) if not store.has_blob(digest)), None)


def _blobs(store: Store, descriptor: Descriptor) -> Iterator[Digest]:
    """The configs and layers of `descriptor`, as far as its manifests are here."""
    document = store.document(descriptor)
    if isinstance(document, Manifest):
        yield from (document.config.digest, *(layer.digest for layer in document.layers))
    else:
        for entry in document.manifests:
            if store.has_blob(entry.digest):
                yield from _blobs(store, entry)


def _sources(store: Store, target: Reference, wanted: set[Digest]) -> dict[Digest, str]:
    """For each of the blobs a repository of the same registry that, by the names known here, may have it."""
    found: dict[Digest, str] = {}
    for reference, descriptor in readable(store):
        if reference.registry != target.registry or reference.repository == target.repository:
            continue
        try:
            shared = wanted.intersection(_blobs(store, descriptor))
        except FirkinError:  # an image that cannot be read is nobody's source
            continue
        found |= dict.fromkeys(shared, reference.repository)
    return found
