"""ImageSummary: one line of `firkin images`."""

from __future__ import annotations

from dataclasses import dataclass

from firkin.errors import Corrupt, FirkinError
from firkin.oci.descriptor import Descriptor
from firkin.oci.reference import Reference
from firkin.store.store import Store


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """A name, and one platform's image that it stands for.

    `reference` is the full name; `repository` the short one, `tag` "<none>" for an image known by its digest.
    `digest` is what the registry calls it, `id` its config's digest. `created` is RFC 3339 or "". Where
    `problem` is set, the name's record or image cannot be read, and the fields after `tag` mean nothing.
    """

    reference: str
    repository: str
    tag: str
    digest: str = ""
    id: str = ""
    platform: str = ""
    created: str = ""
    size_bytes: int = 0
    problem: str = ""


def summaries(store: Store) -> list[ImageSummary]:
    """Every name and image, the newest first; what cannot be read before all others.

    A digest's name is left out where a tag of the same repository stands for the same image.
    """
    records = store.records()
    tagged = {
        (name.name, found.digest) for name, found in records if name.tag and isinstance(found, Descriptor)
    }
    listed: list[ImageSummary] = []
    for reference, found in records:
        if isinstance(found, Corrupt):
            listed.append(_broken(reference, found))
        elif reference.tag or (reference.name, found.digest) not in tagged:
            listed += _summaries(store, reference, found)
    return sorted(listed, key=lambda each: (bool(each.problem), each.created), reverse=True)


def _summaries(store: Store, reference: Reference, descriptor: Descriptor) -> list[ImageSummary]:
    try:
        images = store.local_images(descriptor)
    except FirkinError as error:
        return [_broken(reference, error)]
    return [
        ImageSummary(
            reference=str(reference),
            repository=_repository(reference),
            tag=reference.tag or "<none>",
            digest=str(descriptor.digest),
            id=str(image.config_digest),
            platform=str(image.config.platform),
            created=image.config.created,
            size_bytes=image.size_bytes,
        )
        for image in images
    ]


def _repository(reference: Reference) -> str:
    return Reference(reference.registry, reference.repository, "x").familiar.removesuffix(":x")


def _broken(reference: Reference, error: FirkinError) -> ImageSummary:
    return ImageSummary(str(reference), _repository(reference), reference.tag or "<none>", problem=str(error))
