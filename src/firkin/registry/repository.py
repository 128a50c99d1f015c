"""Repository: GET requests below /v2/<name>/, with the login, retries and waiting that they need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firkin.errors import RegistryUnreachable, Timeout
from firkin.events import event
from firkin.registry.auth import Login
from firkin.registry.endpoint import Endpoint
from firkin.registry.refusal import MAX_BODY_BYTES, refusal, retry_after_s
from firkin.registry.transport import ConnectionLost, Transport, read_document

if TYPE_CHECKING:
    from aiohttp import ClientResponse
    from yarl import URL

RETRY_PAUSES_S = (0.2, 0.8, 2.0)
_TRY_AGAIN = frozenset({429, 500, 502, 503, 504})


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


class Repository:
    """One repository of one registry."""

    def __init__(self, transport: Transport, base: Base, login: Login, endpoint: Endpoint, name: str) -> None:
        self.timeout_s = transport.timeout_s
        self._transport = transport
        self._base = base
        self._login = login
        self._endpoint = endpoint
        self._name = name

    @property
    def host(self) -> str:
        return self._endpoint.host

    @asynccontextmanager
    async def get(
        self, path: str, what: str, headers: Mapping[str, str], accepted: frozenset[int] = frozenset({200})
    ) -> AsyncIterator[ClientResponse]:
        """The response to GET <path>, of one of the `accepted` statuses, its body unread.

        `what` names the object in errors: ImageNotFound, AuthenticationFailed, RegistryError,
        RegistryUnreachable, Timeout. Tries again after lost connections and when the registry is too busy.
        """
        async with AsyncExitStack() as stack:
            url = type(self._base.url)(f"{self._base.url}{self._name}/{path}", encoded=True)
            yield await self._open(stack, url, what, headers, accepted)

    async def _open(
        self, stack: AsyncExitStack, url: URL, what: str, headers: Mapping[str, str], accepted: frozenset[int]
    ) -> ClientResponse:
        for default_pause_s in (*RETRY_PAUSES_S, None):
            try:
                response = await self._authorized(stack, url, headers)
            except ConnectionLost:
                if default_pause_s is None:
                    raise
                await asyncio.sleep(default_pause_s)
                continue
            if response.status in accepted:
                return response
            pause_s = self._pause_s(response, default_pause_s)
            if pause_s is None:
                body = await read_document(response, MAX_BODY_BYTES, self.timeout_s, f"the refusal of {what}")
                raise refusal(response.status, body, response.headers, self.host, what)
            await stack.aclose()
            event("registry.waiting", host=self.host, seconds=pause_s)
            await asyncio.sleep(pause_s)
        raise AssertionError("the last round returns or raises")

    async def _authorized(
        self, stack: AsyncExitStack, url: URL, headers: Mapping[str, str]
    ) -> ClientResponse:
        """The response to a request with the login that the registry wants; 401 where there is none."""
        for attempt in range(2):
            sent = self._login.header
            full = {**headers, "Authorization": sent} if sent else headers
            response = await stack.enter_async_context(
                self._transport.get(url, full, verify=self._base.verify)
            )
            if response.status != 401 or attempt:
                break
            challenges = response.headers.getall("WWW-Authenticate", [])
            await stack.aclose()
            await self._login.answer(challenges, sent, url, verify=self._base.verify)
        return response

    def _pause_s(self, response: ClientResponse, default_s: float | None) -> float | None:
        """How long to wait before the next try; None where there is none, or the registry asks for too
        long.
        """
        if response.status not in _TRY_AGAIN or default_s is None:
            return None
        asked_s = retry_after_s(response.headers)
        if asked_s is None:
            return default_s
        return asked_s if asked_s <= self.timeout_s else None
