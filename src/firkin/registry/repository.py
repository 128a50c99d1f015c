"""Repository: requests below /v2/<name>/, with the login, retries and waiting that they need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from firkin.errors import FirkinError, RegistryUnreachable, Timeout
from firkin.events import event
from firkin.registry.auth import Login
from firkin.registry.endpoint import Endpoint
from firkin.registry.refusal import MAX_BODY_BYTES, Deed, refusal, retry_after_s
from firkin.registry.transport import ConnectionLost, Transport, read_document

if TYPE_CHECKING:
    from aiohttp import ClientResponse, Payload
    from yarl import URL

RETRY_PAUSES_S = (0.2, 0.8, 2.0)
TRY_AGAIN = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Base:
    """How a registry's API is reached: its URL, and whether the certificate is checked."""

    url: URL
    verify: bool


async def find_base(transport: Transport, endpoint: Endpoint) -> Base:
    """https for every registry; for an insecure one also with a certificate of any kind, and else plain
    HTTP.
    """
    from yarl import URL

    url = URL(f"https://{endpoint.host}/v2/")
    if not endpoint.insecure:
        return Base(url, verify=True)
    try:
        async with transport.get(url, {}, verify=False):
            return Base(url, verify=False)
    except (RegistryUnreachable, Timeout):
        pass  # where nobody is at all, the first plain request says so
    return Base(url.with_scheme("http"), verify=False)


@dataclass(frozen=True, slots=True)
class Question:
    """One request to a repository: what it does (`deed`) with which object (`what`, for errors)."""

    method: str
    url: URL
    what: str
    headers: Mapping[str, str] = field(default_factory=dict)
    accepted: frozenset[int] = frozenset({200})
    data: bytes | Payload | None = None
    deed: Deed = "read"


class Repository:
    """One repository of one registry."""

    def __init__(self, transport: Transport, base: Base, login: Login, endpoint: Endpoint, name: str) -> None:
        self.name = name
        self.timeout_s = transport.timeout_s
        self._transport = transport
        self._base = base
        self._login = login
        self._endpoint = endpoint

    @property
    def host(self) -> str:
        return self._endpoint.host

    def url(self, path: str) -> URL:
        """Of `path`, which is encoded already, below this repository."""
        return type(self._base.url)(f"{self._base.url}{self.name}/{path}", encoded=True)

    @asynccontextmanager
    async def get(
        self, path: str, what: str, headers: Mapping[str, str], accepted: frozenset[int] = frozenset({200})
    ) -> AsyncIterator[ClientResponse]:
        """The response to GET <path>; see `ask`."""
        async with self.ask(Question("GET", self.url(path), what, headers, accepted)) as response:
            yield response

    @asynccontextmanager
    async def ask(self, question: Question, *, again: bool = True) -> AsyncIterator[ClientResponse]:
        """The response, of one of the accepted statuses, its body unread.

        Raises NotFound, AuthenticationFailed, RegistryError, RegistryUnreachable, Timeout, which name the
        object. Asks `again` after lost connections and when the registry is too busy.
        """
        async with AsyncExitStack() as stack:
            yield await self._open(stack, question, RETRY_PAUSES_S if again else ())

    async def _open(
        self, stack: AsyncExitStack, question: Question, pauses_s: tuple[float, ...]
    ) -> ClientResponse:
        for default_pause_s in (*pauses_s, None):
            try:
                response = await self._authorized(stack, question)
            except ConnectionLost:
                if default_pause_s is None:
                    raise
                await asyncio.sleep(default_pause_s)
                continue
            if response.status in question.accepted:
                return response
            pause_s = self.pause_s(response, default_pause_s)
            if pause_s is None:
                raise await self.refused(response, question)
            await stack.aclose()
            event("registry.waiting", host=self.host, seconds=pause_s)
            await asyncio.sleep(pause_s)
        raise AssertionError("the last round returns or raises")

    async def refused(self, response: ClientResponse, question: Question) -> FirkinError:
        """The error for a `response` of a status that does not answer the question."""
        what = f"the refusal of {question.what}"
        body = await read_document(response, MAX_BODY_BYTES, self.timeout_s, what)
        return refusal(response.status, body, response.headers, self.host, question.what, deed=question.deed)

    async def _authorized(self, stack: AsyncExitStack, question: Question) -> ClientResponse:
        """The response to a request with the login that the registry wants; 401 where there is none.

        An upload may lead to another host: neither does that get our login, nor is its certificate let pass.
        """
        ours = question.url.origin() == self._base.url.origin()
        for attempt in range(2):
            sent = self._login.header if ours else ""
            response = await stack.enter_async_context(
                self._transport.request(
                    question.method,
                    question.url,
                    {**question.headers, "Authorization": sent} if sent else question.headers,
                    verify=self._base.verify or not ours,
                    data=question.data,
                )
            )
            if response.status != 401 or attempt or not ours:
                break
            challenges = response.headers.getall("WWW-Authenticate", [])
            await stack.aclose()
            await self._login.answer(challenges, sent, question.url, verify=self._base.verify)
        return response

    def pause_s(self, response: ClientResponse, default_s: float | None) -> float | None:
        """How long to wait before the next try; None where there is none, or the registry asks for too
        long.
        """
        if response.status not in TRY_AGAIN or default_s is None:
            return None
        asked_s = retry_after_s(response.headers)
        if asked_s is None:
            return default_s
        return asked_s if asked_s <= self.timeout_s else None
