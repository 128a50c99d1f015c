"""ImageNames: what people write for a local image: its name, its digest, its id, or how its id begins.

A name comes before an id, as with Docker: `cafe` is docker.io/library/cafe where that is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from firkin.errors import FirkinError, ImageNotFound, PlatformNotFound, ReferenceSyntaxError, UsageError
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.oci.image import Image
from firkin.oci.manifest import Index
from firkin.oci.platform import Platform
from firkin.oci.reference import Reference
from firkin.store.store import Store

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})")


def lookup(store: Store, name: str) -> Descriptor:
    """What `name` stands for. Raises ImageNotFound, ReferenceSyntaxError, Corrupt, UsageError for several."""
    reference = parsed(name)
    if reference is not None and (found := store.resolve(reference)) is not None:
        return found
    by_id = _by_id(store, name)
    if len(by_id) > 1:
        raise UsageError(f"{name!r} is the beginning of several images' ids", hint="write more of it")
    if by_id:
        return by_id[0]
    if not _ID.fullmatch(name):
        Reference.parse(name)  # says why it is none
    raise ImageNotFound(f"image {name} is not here", hint=f"firkin pull {name}, or see `firkin images`")


def here(store: Store, name: str, platform: Platform) -> Image | None:
    """The image, if all of it is here for `platform`. Raises as `lookup`."""
    try:
        image = store.image(lookup(store, name), platform)
    except (ImageNotFound, PlatformNotFound):
        return None
    return image if store.is_complete(image) else None


def foreign_here(store: Store, name: str) -> Image | None:
    """The image, if all of it is here, and it is for one other platform than this host's alone.

    Raises as `lookup`.
    """
    try:
        descriptor = lookup(store, name)
        document = store.document(descriptor)
        if isinstance(document, Index):
            document.select(Platform.host(), name)
            return None
    except ImageNotFound:
        return None
    except PlatformNotFound:
        pass
    local = store.local_images(descriptor)
    return local[0] if len(local) == 1 and store.is_complete(local[0]) else None


def is_pinned(name: str) -> bool:
    """Whether `name` says by its digest what it stands for."""
    reference = parsed(name)
    return reference is not None and reference.digest is not None


def names_to_remove(store: Store, name: str) -> tuple[Descriptor | None, list[Reference]]:
    """What `name` stands for, None where that cannot be read, and the names that removing it takes away.

    A name takes itself away, an id all names of its image. Raises as `lookup`.
    """
    reference = parsed(name)
    for known, found in store.records():
        if known == reference:
            return (found if isinstance(found, Descriptor) else None), [known]
    descriptor = lookup(store, name)
    names = [known for known, found in readable(store) if found.digest == descriptor.digest]
    if reference is not None and reference.digest is not None:
        names = [known for known in names if known.name == reference.name]
    return descriptor, names


def parsed(name: str) -> Reference | None:
    """`name` as a reference; None where it is none, and may be an id."""
    try:
        return Reference.parse(name)
    except ReferenceSyntaxError:
        return None


def readable(store: Store) -> list[tuple[Reference, Descriptor]]:
    """All names but those whose records cannot be read."""
    return [(known, found) for known, found in store.records() if isinstance(found, Descriptor)]


def images_of(store: Store, descriptor: Descriptor | None) -> Sequence[Image]:
    """The images of `descriptor` that are here; none where they cannot be read."""
    try:
        return store.local_images(descriptor) if descriptor else ()
    except FirkinError:  # whoever lists the images sees it; here it only means that no id can match
        return ()


def _by_id(store: Store, name: str) -> list[Descriptor]:
    """The images whose id, or whose digest at the registry, begins so."""
    match = _ID.fullmatch(name)
    if match is None:
        return []
    found: dict[Digest, Descriptor] = {}
    for _, descriptor in readable(store):
        digests = {descriptor.digest}
        for image in images_of(store, descriptor):
            digests |= {image.config_digest, image.digest}
        if any(digest.hex.startswith(match[1]) for digest in digests):
            found[descriptor.digest] = descriptor
    return [*found.values()]
