"""RegistryClient: a reference, and its image is in the store, every byte checked against a digest.

The order is that of trust: the reference names a manifest or an index, its digest is checked; the index
names the platform's manifest, the manifest names config and layers. What any of them is not allowed to be
is found out before the layers are fetched. Nothing gets a name here: that is the caller's last step, when
all is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self

from firkin.errors import Corrupt, DigestMismatch, IntegrityError, UsageError
from firkin.events import stage
from firkin.oci import media_types
from firkin.oci.descriptor import MAX_DOCUMENT_BYTES, Descriptor
from firkin.oci.digest import Digest
from firkin.oci.image import Image
from firkin.oci.image_config import decode_config
from firkin.oci.manifest import Index, Manifest, check_is_image, decode, platform_not_found
from firkin.oci.platform import Platform
from firkin.oci.reference import Reference
from firkin.registry.auth import Login
from firkin.registry.endpoint import Endpoint
from firkin.registry.repository import Base, Repository, find_base
from firkin.registry.transfer import IngestsBlobs, fetch_blob, keep_blob
from firkin.registry.transport import Transport, open_transport, read_document
from firkin.settings import Settings

if TYPE_CHECKING:
    from firkin.registry.push import ReadsBlobs

Judge = Callable[[tuple[Descriptor, ...]], Awaitable[Descriptor]]
"""Which of these a name may stand for: what the reference names, and of an index also the manifest chosen.
Asked before anything is fetched that they list; what it raises ends the pull.
"""

_ACCEPT = ", ".join(sorted(media_types.MANIFESTS | media_types.INDEXES))


@dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest or index: what it is called, its bytes, and what they mean."""

    descriptor: Descriptor
    content: bytes
    document: Manifest | Index


class RegistryClient:
    """Pulls from and pushes to any number of registries, with one pool of connections. An async context
    manager.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._transport: Transport | None = None
        self._bases: dict[str, Base] = {}
        self._logins: dict[tuple[str, str, tuple[str, ...]], Login] = {}

    async def __aenter__(self) -> Self:
        self._transport = await self._stack.enter_async_context(
            open_transport(self._settings.registry_timeout_s)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def resolve(self, reference: Reference) -> Fetched:
        """What `reference` names at its registry, its digest checked.

        Raises ImageNotFound, RegistryUnreachable, AuthenticationFailed, RegistryError, IntegrityError,
        Timeout.
        """
        repository = await self._repository(reference)
        return await _fetch_document(repository, reference, None)

    async def read_blob(self, reference: Reference, blob: Descriptor, limit_bytes: int) -> bytes:
        """The small blob that `blob` describes, from the repository of `reference`, its digest checked.

        Raises IntegrityError where it is longer than `limit_bytes`, and what `resolve` raises.
        """
        what = f"blob {blob.digest} of {reference.name}"
        repository = await self._repository(reference)
        async with repository.get(f"blobs/{blob.digest}", what, {}) as response:
            content = await read_document(response, limit_bytes, repository.timeout_s, what)
        if Digest.of(content) != blob.digest:
            hint = "what sends it is broken or lies: try again, or ask its operator"
            raise DigestMismatch(f"{what} has the digest {Digest.of(content)}", hint=hint)
        return content

    async def pull(
        self,
        reference: Reference,
        platform: Platform,
        store: IngestsBlobs,
        judge: Judge | None = None,
        artifacts: frozenset[str] = frozenset(),
    ) -> Descriptor:
        """Bring the image of `reference` for `platform` into `store`; what a name of it may stand for: what
        the reference names, maybe an index, or what `judge` chose.

        Beside images, artifacts are brought whose configs are of the media types `artifacts`, all of their
        blobs, unexamined. What is there already is not fetched, and what an earlier pull was killed over goes
        on where it ended. Raises PlatformNotFound, StorageFull, and what `resolve` raises; then
        `store` holds whole blobs only.
        """
        with stage("pull", reference=str(reference)):
            repository = await self._repository(reference)
            named = await _fetch_document(repository, reference, None)
            chosen = await self._choose(repository, reference, named, platform)
            kept = {chosen.descriptor.digest: chosen, named.descriptor.digest: named}
            candidates = tuple(document.descriptor for document in reversed(kept.values()))
            result = await judge(candidates) if judge else named.descriptor
            manifest = chosen.document
            assert isinstance(manifest, Manifest)
            is_image = manifest.config.media_type not in artifacts
            if is_image:
                check_is_image(manifest, f"image {reference}")
            await fetch_blob(repository, _config_of(manifest, reference), store, kind="config")
            if is_image:
                _check_config(store.read_blob(manifest.config.digest), chosen, reference, platform)
            await self._fetch_layers(repository, manifest.layers, store)
            for document in (chosen, kept[result.digest]):
                await keep_blob(document.descriptor, document.content, store, repository.timeout_s)
            return result

    async def push(
        self,
        reference: Reference,
        descriptor: Descriptor,
        store: ReadsBlobs,
        sources: Mapping[Digest, str] = MappingProxyType({}),
    ) -> None:
        """Make `reference`, a tag, stand for `descriptor`, a manifest or index, all of which is in `store`.

        What its repository has already is not sent, and what one of `sources` has, repositories of the same
        registry by blob, the registry may take from there. Raises ImageNotFound, NotFound, RegistryError,
        IntegrityError, Timeout; then the tag stands for what it stood for.
        """
        from firkin.registry.push import push_all

        with stage("push", reference=str(reference)):
            also = {f"repository:{source}:pull": None for source in sources.values()}
            scopes = (f"repository:{reference.repository}:pull,push", *also)
            repository = await self._repository(reference, scopes)
            await push_all(
                repository,
                reference.tag,
                descriptor,
                store,
                parallel=self._settings.parallel_layers,
                sources=sources,
            )

    async def _choose(
        self, repository: Repository, reference: Reference, named: Fetched, platform: Platform
    ) -> Fetched:
        """The platform's manifest: `named` itself, or the entry of the index that it is."""
        if isinstance(named.document, Manifest):
            return named
        entry = named.document.select(platform, f"image {reference}")
        chosen = await _fetch_document(repository, reference, entry)
        if isinstance(chosen.document, Index):
            raise Corrupt(f"image {reference} is an index inside an index", hint="ask its publisher")
        return chosen

    async def _fetch_layers(
        self, repository: Repository, layers: Iterable[Descriptor], store: IngestsBlobs
    ) -> None:
        places = asyncio.Semaphore(max(1, self._settings.parallel_layers))

        async def fetch(layer: Descriptor) -> None:
            async with places:
                await fetch_blob(repository, layer, store, kind="layer")

        try:
            async with asyncio.TaskGroup() as group:
                for layer in {layer.digest: layer for layer in layers}.values():
                    group.create_task(fetch(layer))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors.exceptions[0].__cause__

    async def _repository(self, reference: Reference, scopes: tuple[str, ...] = ()) -> Repository:
        if self._transport is None:
            raise UsageError(
                "a RegistryClient is used before it is entered", hint="write async with RegistryClient(...)"
            )
        endpoint = Endpoint.of(reference.registry, self._settings.insecure_registries)
        if reference.registry not in self._bases:
            self._bases[reference.registry] = await find_base(self._transport, endpoint)
        key = (reference.registry, reference.repository, scopes)
        if key not in self._logins:
            registry, name = reference.registry, reference.repository
            self._logins[key] = Login(
                self._transport, self._settings.auth_files, registry, name, scopes=scopes
            )
        base, login = self._bases[reference.registry], self._logins[key]
        return Repository(self._transport, base, login, endpoint, reference.repository)


async def _fetch_document(repository: Repository, reference: Reference, entry: Descriptor | None) -> Fetched:
    """The manifest or index that `reference` names, or that the `entry` of its index describes."""
    expected = entry.digest if entry else reference.digest
    what = f"image {reference}" if entry is None else f"image {reference}, manifest {entry.digest}"
    path = f"manifests/{expected or reference.tag}"
    async with repository.get(path, what, {"Accept": _ACCEPT}) as response:
        content = await read_document(response, MAX_DOCUMENT_BYTES, repository.timeout_s, what)
        served_as, promised = response.content_type, response.headers.get("Docker-Content-Digest", "")
    digest = Digest.of(content)
    if digest != (expected or digest) or (promised.startswith("sha256:") and promised != str(digest)):
        hint = "what sends it is broken or lies: try again, or ask its operator"
        raise DigestMismatch(f"{what} has the digest {digest}, not {expected or promised}", hint=hint)
    if entry is not None and entry.size_bytes != len(content):
        raise IntegrityError(
            f"{what} has {len(content)} bytes, not the {entry.size_bytes} that its index promises"
        )
    document = decode(content, entry.media_type if entry else served_as, what)
    return Fetched(Descriptor(document.media_type, digest, len(content)), content, document)


def _config_of(manifest: Manifest, reference: Reference) -> Descriptor:
    if manifest.config.size_bytes > MAX_DOCUMENT_BYTES:
        raise Corrupt(
            f"image {reference} has a config of more than {MAX_DOCUMENT_BYTES} bytes",
            hint="ask its publisher",
        )
    return manifest.config


def _check_config(content: bytes, chosen: Fetched, reference: Reference, platform: Platform) -> None:
    """Find out before the layers are fetched whether they could be used."""
    assert isinstance(chosen.document, Manifest)
    config = decode_config(content, f"image {reference}, config {chosen.document.config.digest}")
    Image.of(chosen.descriptor, chosen.document, config)
    if not platform.runs(config.platform):
        raise platform_not_found(platform, [config.platform], f"image {reference}")
