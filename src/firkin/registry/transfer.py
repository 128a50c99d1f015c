"""Transfer: one blob from a repository into an ingest, hashed and written in a thread while the next bytes
arrive.

After a lost connection it goes on where it stopped. What came counts: only losses in a row without a new
byte use up the tries, up to a bound that no honest registry meets.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Literal, Protocol

from firkin.aio.thread import in_thread
from firkin.errors import DigestMismatch, InUse, Timeout
from firkin.events import event
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.registry.repository import Repository
from firkin.registry.transport import CHUNK_BYTES, ConnectionLost

if TYPE_CHECKING:
    from aiohttp import ClientResponse

_RIVAL_POLL_S = 0.05
_BARREN_TRIES = 2
_BARREN_PAUSE_S = 0.3
_MAX_LOSSES = 64
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(?:\d{1,18}|\*)", re.ASCII)


class Ingests(Protocol):
    """What a blob is written to; see store.ingest."""

    offset: int
    committed: bool

    def resume(self) -> int: ...
    def write(self, *chunks: bytes) -> None: ...
    def restart(self) -> None: ...
    def commit(self) -> Digest: ...


class IngestsBlobs(Protocol):
    """What a pull needs of a store."""

    def has_blob(self, digest: Digest, /) -> bool: ...
    def read_blob(self, digest: Digest, /) -> bytes: ...
    def ingest(self, digest: Digest, size_bytes: int, /) -> AbstractContextManager[Ingests]: ...


async def fetch_blob(
    repository: Repository, blob: Descriptor, store: IngestsBlobs, *, kind: Literal["layer", "config"]
) -> None:
    """Bring the blob that `blob` describes into `store`. Its events are `layer.*` or `config.*`.

    Raises DigestMismatch where it is not what was promised, and what Repository.get raises; then nothing is
    kept.
    """
    digest, total = str(blob.digest), blob.size_bytes
    if store.has_blob(blob.digest):
        event(f"{kind}.cached", digest=digest, total=total)
        return
    async with _only_writer(store, blob, repository.timeout_s) as ingest:
        if ingest.committed:
            event(f"{kind}.cached", digest=digest, total=total)
            return
        await in_thread(ingest.resume)
        event(f"{kind}.progress", digest=digest, done=ingest.offset, total=total)
        await _fill(repository, blob, ingest, kind)
        await in_thread(ingest.commit)
        event(f"{kind}.done", digest=digest, total=total)


async def keep_blob(blob: Descriptor, content: bytes, store: IngestsBlobs, timeout_s: float) -> None:
    """Bring `content`, which is here already, into `store`. Raises DigestMismatch, StorageFull, Timeout."""
    async with _only_writer(store, blob, timeout_s) as ingest:
        if not ingest.committed:
            ingest.write(content)
            await in_thread(ingest.commit)


@asynccontextmanager
async def _only_writer(store: IngestsBlobs, blob: Descriptor, timeout_s: float) -> AsyncIterator[Ingests]:
    """The ingest of this blob, once nobody else, in this process or another, is fetching it too."""
    patience_s = 20 * timeout_s
    deadline = time.monotonic() + patience_s
    with ExitStack() as stack:
        while True:
            try:
                ingest = stack.enter_context(store.ingest(blob.digest, blob.size_bytes))
                break
            except InUse as error:
                if time.monotonic() > deadline:
                    raise Timeout(
                        f"somebody else has been fetching {blob.digest} for {patience_s:g} s",
                        hint="end the other firkin, and try again",
                    ) from error
                await asyncio.sleep(_RIVAL_POLL_S)
        yield ingest


async def _fill(repository: Repository, blob: Descriptor, ingest: Ingests, kind: str) -> None:
    """Stream into `ingest` until the blob is whole, over as many connections as it takes."""
    barren = 0
    for losses in range(1, _MAX_LOSSES + 1):
        before = ingest.offset
        if before == blob.size_bytes:
            return
        try:
            await _stream(repository, blob, ingest, kind)
        except (ConnectionLost, Timeout) as error:
            barren = 0 if ingest.offset > before else barren + 1
            if barren > _BARREN_TRIES or losses == _MAX_LOSSES:
                came = f"{ingest.offset} of {blob.size_bytes} bytes came"
                raise type(error)(
                    f"cannot fetch blob {blob.digest}: {error}; {came}", hint=error.hint
                ) from error
            event(f"{kind}.retry", digest=str(blob.digest), done=ingest.offset, total=blob.size_bytes)
            await asyncio.sleep(_BARREN_PAUSE_S * (1 + barren))


async def _stream(repository: Repository, blob: Descriptor, ingest: Ingests, kind: str) -> None:
    """One connection's worth, from where `ingest` is."""
    offset = ingest.offset
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    what = f"blob {blob.digest}"
    accepted = frozenset({200, 206, 416}) if offset else frozenset({200})
    async with repository.get(f"blobs/{blob.digest}", what, headers, accepted) as response:
        if response.status == 416 or (response.status == 206 and _range_start(response) != offset):
            await asyncio.to_thread(ingest.restart)
            raise ConnectionLost(f"{repository.host} cannot go on in the middle of {what}", hint="try again")
        if response.status == 200:
            _check_length(response, blob, repository.host)
            if offset:
                await asyncio.to_thread(ingest.restart)
        await _pour(response, _Writer(ingest, blob, kind))
        if ingest.offset < blob.size_bytes:
            raise _truncated(response, blob, ingest.offset, repository.host)


async def _pour(response: ClientResponse, writer: _Writer) -> None:
    """The body into `writer`, a mebibyte at a time, so that threads are woken seldom."""
    import aiohttp

    parts: list[bytes] = []
    size = 0
    try:
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size >= CHUNK_BYTES:
                await writer.put(parts)
                parts, size = [], 0
    except (aiohttp.ClientError, OSError):
        await writer.finish(parts)  # what came counts
        raise
    except BaseException:
        writer.abandon()
        raise
    await writer.finish(parts)


class _Writer:
    """Writes to an ingest in a thread, one batch at a time, while the next one is received."""

    def __init__(self, ingest: Ingests, blob: Descriptor, kind: str) -> None:
        self._ingest = ingest
        self._blob = blob
        self._kind = kind
        self._writing: asyncio.Task[None] | None = None

    async def put(self, parts: list[bytes]) -> None:
        """Have `parts` written, once those before are."""
        await self.drain()
        if parts:
            self._writing = asyncio.create_task(self._write(parts))

    async def finish(self, parts: list[bytes]) -> None:
        """Have `parts` written too, and wait for it."""
        await self.put(parts)
        await self.drain()

    def abandon(self) -> None:
        """Nobody will ask any more how the writing ended. A thread in the middle of it goes on to its end."""
        if self._writing is not None:
            self._writing.cancel()

    async def drain(self) -> None:
        """Wait until all is written. Raises what the writing raised."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    async def _write(self, parts: list[bytes]) -> None:
        await asyncio.to_thread(self._ingest.write, *parts)
        blob = self._blob
        event(
            f"{self._kind}.progress", digest=str(blob.digest), done=self._ingest.offset, total=blob.size_bytes
        )


def _range_start(response: ClientResponse) -> int | None:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _check_length(response: ClientResponse, blob: Descriptor, host: str) -> None:
    """Refuse a wrong length before the download rather than after it."""
    if response.content_length is not None and response.content_length != blob.size_bytes:
        found, promised = response.content_length, blob.size_bytes
        raise DigestMismatch(
            f"blob {blob.digest} has {found} bytes at {host}, not the promised {promised}",
            hint="what sends it is broken or lies: try again, or ask its operator",
        )


def _truncated(response: ClientResponse, blob: Descriptor, offset: int, host: str) -> Exception:
    """The error for a body that ended too early: a lie if its end was announced, else a lost connection."""
    message = f"blob {blob.digest} from {host} ended after {offset} of {blob.size_bytes} bytes"
    hint = "what sends it is broken: try again, or ask its operator"
    announced = response.content_length is not None or "chunked" in response.headers.get(
        "Transfer-Encoding", ""
    )
    return DigestMismatch(message, hint=hint) if announced else ConnectionLost(message, hint=hint)
