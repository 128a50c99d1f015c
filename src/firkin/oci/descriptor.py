"""Descriptor: media type, digest and size of some bytes (OCI image spec, descriptor.md).

`RawDescriptor` is how one stands in JSON; `Descriptor` is what is left when its parts are known to be sound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec

from firkin.decoder import json_decoder
from firkin.errors import Corrupt, UsageError
from firkin.oci.digest import Digest
from firkin.oci.platform import Platform

MAX_DOCUMENT_BYTES = 4 << 20
"""Of a manifest, index or config: what the distribution spec tells registries to accept at least."""

MAX_BLOB_BYTES = 1 << 40

T = TypeVar("T")


class Descriptor(msgspec.Struct, frozen=True):
    """What to fetch, how long it is, and what it is. `platform` is given where an index says so."""

    media_type: str
    digest: Digest
    size_bytes: int
    platform: Platform | None = None


class RawPlatform(msgspec.Struct, frozen=True):
    os: str = ""
    architecture: str = ""
    variant: str = ""


class RawDescriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A descriptor's JSON. Fields that firkin doesn't use (`urls`, `data`, `annotations`) are dropped."""

    media_type: str
    digest: str
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_BLOB_BYTES)]
    platform: RawPlatform | None = None

    def checked(self) -> Descriptor:
        """This as a value. Raises UsageError where the digest is not one."""
        platform = None
        if self.platform is not None:
            platform = Platform.of(self.platform.os, self.platform.architecture, self.platform.variant)
        return Descriptor(self.media_type, Digest.parse(self.digest), self.size, platform)

    @classmethod
    def of(cls, descriptor: Descriptor) -> RawDescriptor:
        platform = descriptor.platform
        raw = RawPlatform(platform.os, platform.architecture, platform.variant) if platform else None
        return cls(descriptor.media_type, str(descriptor.digest), descriptor.size_bytes, raw)


def encode_descriptor(descriptor: Descriptor) -> bytes:
    """`descriptor` as JSON."""
    return msgspec.json.encode(RawDescriptor.of(descriptor))


def decode_descriptor(content: bytes, what: str) -> Descriptor:
    """The descriptor that `content` holds. Raises Corrupt, which says that `what` is."""
    return sound(decode_json(content, RawDescriptor, what).checked, what)


def decode_json(content: bytes, kind: type[T], what: str) -> T:
    """`content` as a value of the msgspec type `kind`. Raises Corrupt, which says that `what` is."""
    if len(content) > MAX_DOCUMENT_BYTES:
        raise Corrupt(f"{what} has {len(content)} bytes, more than {MAX_DOCUMENT_BYTES}")
    try:
        found: T = json_decoder(kind).decode(content)
        return found
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupt(f"{what} cannot be read: {error}", hint="its publisher has to mend it") from error


def sound(check: Callable[[], T], what: str) -> T:
    """What `check()` returns; its UsageError becomes Corrupt, since no user wrote these words."""
    try:
        return check()
    except UsageError as error:
        raise Corrupt(f"{what} cannot be read: {error}", hint="its publisher has to mend it") from error
