"""Upload: one blob from the store into a repository (OCI distribution spec, "Pushing blobs").

    HEAD there already? ──► POST mount it from a repository that has it ──► POST begin ──► PUT the whole
                                                                                │ trouble
                                                     GET how much came? ──► PATCH in pieces ──► PUT the end

The first try is one request. After a lost connection, or where the registry takes no such long body, it goes
on in pieces from where the registry says it is. What came counts: only losses in a row without a new byte use
up the tries, up to a bound that no honest registry meets.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, BinaryIO, Literal

from firkin.aio.thread import in_thread
from firkin.errors import AuthenticationFailed, DigestMismatch, FirkinError, NotFound, RegistryError, Timeout
from firkin.events import event
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.registry.repository import TRY_AGAIN, Question, Repository
from firkin.registry.transport import ConnectionLost, following_url

if TYPE_CHECKING:
    from aiohttp import ClientResponse, Payload
    from yarl import URL

PIECE_BYTES = 16 << 20
_BARREN_TRIES = 2
_BARREN_PAUSE_S = 0.3
_MAX_LOSSES = 64
_MAX_PIECE_BYTES = 1 << 30
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})", re.ASCII)
_TOO_LONG = frozenset({405, 411, 413, 415, 501})
"""What registries say that want a blob in pieces; 413 is that of a proxy in front of one."""

Kind = Literal["layer", "config"]
OpenBlob = Callable[[Digest], BinaryIO]


async def push_blob(
    repository: Repository, blob: Descriptor, open_blob: OpenBlob, *, kind: Kind, source: str = ""
) -> None:
    """Have `repository` hold `blob`, which is opened only if it is sent. Its events are `layer.*` or
    `config.*`.

    `source` is a repository of the same registry that may hold it too. Raises DigestMismatch where the file
    is not what `blob` says, what `open_blob` raises, and what Repository.ask raises.
    """
    digest, total = str(blob.digest), blob.size_bytes
    if await _is_there(repository, blob):
        event(f"{kind}.present", digest=digest, total=total)
        return
    if source and await _mounted(repository, blob, source):
        event(f"{kind}.mounted", digest=digest, total=total, source=source)
        return
    with open_blob(blob.digest) as file:
        _check_size(file, blob)
        await _Upload(repository, blob, file, kind).run()
    event(f"{kind}.sent", digest=digest, total=total)


async def _is_there(repository: Repository, blob: Descriptor) -> bool:
    url = repository.url(f"blobs/{blob.digest}")
    question = Question("HEAD", url, f"blob {blob.digest}", accepted=frozenset({200, 404}))
    try:
        async with repository.ask(question) as response:
            return response.status == 200
    except AuthenticationFailed:  # the push itself says it better
        return False


async def _mounted(repository: Repository, blob: Descriptor, source: str) -> bool:
    """Whether the registry took the blob from `source`. It may know nothing of that, or not let us see it.

    Where it does not mount, it may have begun an upload, which is left alone: registries forget those.
    """
    url = repository.url(f"blobs/uploads/?mount={blob.digest}&from={source}")
    what = f"blob {blob.digest} of {source}"
    question = Question("POST", url, what, accepted=frozenset({201, 202}), deed="push")
    try:
        async with repository.ask(question) as response:
            if response.status == 201:
                check_digest(response, blob.digest, repository.host)
            return response.status == 201
    except (AuthenticationFailed, NotFound):
        return False
    except RegistryError as error:
        if isinstance(error, ConnectionLost):
            raise
        return False


class _Upload:
    """One blob on its way: where to send it (`_url`), how much of it came, in which pieces it goes."""

    def __init__(self, repository: Repository, blob: Descriptor, file: BinaryIO, kind: Kind) -> None:
        self._repository = repository
        self._blob = blob
        self._file = file
        self._kind = kind
        self._what = f"blob {blob.digest} to {repository.name}"
        self._url: URL | None = None
        self._came = 0
        self._piece_bytes = 0  # all of it in one request
        self._asked_s = 0.0  # how long the registry last asked us to stay away

    async def run(self) -> None:
        """Send it, over as many connections as it takes."""
        await self._begin()
        barren = 0
        for losses in range(1, _MAX_LOSSES + 1):
            before = self._came
            try:
                return await self._go_on()
            except (ConnectionLost, Timeout) as error:
                self._piece_bytes = self._piece_bytes or PIECE_BYTES
                await self._find_out_what_came()
                barren = 0 if self._came > before else barren + 1
                if barren > _BARREN_TRIES or losses == _MAX_LOSSES:
                    came = f"{self._came} of {self._blob.size_bytes} bytes arrived"
                    raise type(error)(
                        f"cannot push {self._what}: {error}; {came}", hint=error.hint
                    ) from error
            digest, total = str(self._blob.digest), self._blob.size_bytes
            event(f"{self._kind}.resumed", digest=digest, done=self._came, total=total)
            await self._pause(_BARREN_PAUSE_S * (1 + barren))

    async def _pause(self, seconds: float) -> None:
        asked_s, self._asked_s = self._asked_s, 0.0
        if asked_s:
            event("registry.waiting", host=self._repository.host, seconds=asked_s)
        await asyncio.sleep(max(seconds, asked_s))

    async def _go_on(self) -> None:
        url = self._url or await self._begin()
        size_bytes = self._blob.size_bytes
        if not self._piece_bytes:
            if await self._end(url, size_bytes):
                return
            self._piece_bytes = PIECE_BYTES
            url = await self._begin()
        while self._came < size_bytes:
            url = await self._send_piece(url)
        await self._end(url, 0)

    async def _begin(self) -> URL:
        url = self._repository.url("blobs/uploads/")
        question = Question("POST", url, self._what, accepted=frozenset({202}), deed="push")
        async with self._repository.ask(question) as response:
            self._url, self._came = following_url(response, url), 0
            least = response.headers.get("OCI-Chunk-Min-Length", "")
        if self._piece_bytes and least.isascii() and least.isdigit():
            self._piece_bytes = min(max(PIECE_BYTES, int(least[:12])), _MAX_PIECE_BYTES)
        return self._url

    async def _end(self, url: URL, size_bytes: int) -> bool:
        """End the upload by a PUT of the whole blob, or of nothing more; False where it is too long for one
        request.
        """
        joint = "&" if url.raw_query_string else "?"
        target = type(url)(f"{url}{joint}digest={self._blob.digest}", encoded=True)
        accepted = frozenset({201, 204}) | (_TOO_LONG if size_bytes else frozenset())
        try:
            async with self._sent("PUT", target, {}, size_bytes, accepted) as response:
                if response.status in _TOO_LONG:
                    return False
                check_digest(response, self._blob.digest, self._repository.host)
                return True
        except RegistryError as error:
            if not isinstance(error, ConnectionLost):
                await in_thread(self._check_content)  # it may have been right to refuse it
            raise

    async def _send_piece(self, url: URL) -> URL:
        size_bytes = min(self._piece_bytes, self._blob.size_bytes - self._came)
        headers = {"Content-Range": f"{self._came}-{self._came + size_bytes - 1}"}
        async with self._sent("PATCH", url, headers, size_bytes, frozenset({202})) as response:
            self._url = following_url(response, url)
            came = _came(response)
        if came is not None and not self._came < came <= self._came + size_bytes:
            raise ConnectionLost(
                f"{self._repository.host} lost what was sent of {self._what}", hint="try again"
            )
        self._came = came or self._came + size_bytes
        return self._url

    @asynccontextmanager
    async def _sent(
        self, method: str, url: URL, headers: dict[str, str], size_bytes: int, accepted: frozenset[int]
    ) -> AsyncIterator[ClientResponse]:
        """The response to a request with the next `size_bytes`.

        What another try may mend is ConnectionLost.
        """
        async with self._stall_deadline() as moved:
            body = self._body(size_bytes, moved) if size_bytes else None
            also = TRY_AGAIN | {404, 416}
            question = Question(method, url, self._what, headers, accepted | also, body, "push")
            async with self._repository.ask(question, again=False) as response:
                if response.status in accepted:
                    yield response
                    return
                error = await self._repository.refused(response, question)
                self._asked_s = self._repository.pause_s(response, 0.0) or 0.0
                raise ConnectionLost(str(error), hint=error.hint)

    def _body(self, size_bytes: int, moved: Callable[[bool], None]) -> Payload:
        from firkin.registry.body import FileBody

        digest, total, end = str(self._blob.digest), self._blob.size_bytes, self._came + size_bytes

        def left(position: int) -> None:
            moved(position == end)
            event(f"{self._kind}.sending", digest=digest, done=position, total=total)

        return FileBody(self._file.fileno(), self._came, size_bytes, left)

    @asynccontextmanager
    async def _stall_deadline(self) -> AsyncIterator[Callable[[bool], None]]:
        """Raise Timeout when the registry takes nothing more for its timeout; told of each move, and of the
        last.
        """
        timeout_s = self._repository.timeout_s
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s) as deadline:
                yield lambda last: deadline.reschedule(None if last else loop.time() + timeout_s)
        except TimeoutError as error:
            if isinstance(error, FirkinError):
                raise
            host = self._repository.host
            raise Timeout(
                f"{host} took no more of {self._what} for {timeout_s:g} s (registry_timeout_s)",
                hint="try again, or allow more with FIRKIN_REGISTRY_TIMEOUT_S",
            ) from error

    async def _find_out_what_came(self) -> None:
        """Ask how far it came, and where to go on; where the registry does not know, from the beginning."""
        url, self._url, before, self._came = self._url, None, self._came, 0
        if url is None:
            return
        question = Question("GET", url, self._what, accepted=frozenset({204}), deed="push")
        try:
            async with self._repository.ask(question) as response:
                came = _came(response)
                if came is not None and before <= came <= self._blob.size_bytes:
                    self._url, self._came = following_url(response, url), came
        except FirkinError:
            return

    def _check_content(self) -> None:
        self._file.seek(0)
        found = Digest("sha256:" + hashlib.file_digest(self._file, "sha256").hexdigest())  # type: ignore[arg-type]
        if found != self._blob.digest:
            raise DigestMismatch(
                f"blob {self._blob.digest} in the store has changed on the disk", hint="pull the image again"
            )


def check_digest(response: ClientResponse, digest: Digest, host: str) -> None:
    """Raise DigestMismatch where the registry says that it got something else."""
    said = response.headers.get("Docker-Content-Digest", "")
    if said.startswith("sha256:") and said != str(digest):
        hint = "what takes it is broken or lies: try again, or ask its operator"
        raise DigestMismatch(f"{host} says that it got {said[:80]}, not {digest}", hint=hint)


def _came(response: ClientResponse) -> int | None:
    """How many bytes came, by the Range header. Of `0-0`, which many say when nothing came, None."""
    match = _RANGE.fullmatch(response.headers.get("Range", ""))
    return int(match[1]) + 1 if match and int(match[1]) else None


def _check_size(file: BinaryIO, blob: Descriptor) -> None:
    found = os.fstat(file.fileno()).st_size
    if found != blob.size_bytes:
        raise DigestMismatch(
            f"blob {blob.digest} in the store has {found} bytes, not {blob.size_bytes}",
            hint="pull the image again",
        )
