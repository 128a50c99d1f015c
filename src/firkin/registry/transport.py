"""Transport: one HTTP request, with its redirects and deadlines, and with its failures in our words.

Authorization goes to the origin it was made for and to no other: registries redirect blobs to object
stores. A redirect never leads from TLS to plain HTTP.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from firkin.errors import FirkinError, IntegrityError, RegistryError, RegistryUnreachable, Timeout

if TYPE_CHECKING:
    from aiohttp import ClientError, ClientResponse, ClientSession, Payload
    from yarl import URL

MAX_REDIRECTS = 5
CHUNK_BYTES = 1 << 20
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REDIRECTED = ("GET", "HEAD")
_INSECURE_HINT = "if you trust this network, mark it insecure: FIRKIN_INSECURE_REGISTRIES={host}"


class ConnectionLost(RegistryUnreachable):
    """It was there and went away: worth another try."""


class Transport:
    """A connection pool and its deadline. `open_transport` makes one."""

    def __init__(self, session: ClientSession, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._session = session

    @asynccontextmanager
    async def get(
        self,
        url: URL,
        headers: Mapping[str, str],
        *,
        verify: bool = True,
        data: Mapping[str, str] | None = None,
    ) -> AsyncIterator[ClientResponse]:
        """The response to a GET (a POST of the form `data`, where there is one); see `request`."""
        method = "GET" if data is None else "POST"
        async with self.request(method, url, headers, verify=verify, data=data) as response:
            yield response

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        *,
        verify: bool = True,
        data: Mapping[str, str] | bytes | Payload | None = None,
    ) -> AsyncIterator[ClientResponse]:
        """The response, its body unread; to GET and HEAD after redirects, which nothing else follows.

        Raises RegistryUnreachable, ConnectionLost, Timeout or RegistryError, also while the block reads the
        body. A server that takes no more of `data` is the caller's to notice.
        """
        import aiohttp

        origin = url.origin()
        try:
            for _ in range(MAX_REDIRECTS + 1):
                async with self._session.request(
                    method, url, headers=headers, data=data, ssl=verify, allow_redirects=False
                ) as response:
                    if method not in _REDIRECTED or response.status not in _REDIRECTS:
                        yield response
                        return
                    url = following_url(response, url)
                if url.origin() != origin:
                    headers = {name: value for name, value in headers.items() if name != "Authorization"}
            raise RegistryError(
                f"{origin} redirects more than {MAX_REDIRECTS} times", hint="ask its operator"
            )
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, FirkinError):
                raise
            raise _in_words(error, url, self.timeout_s) from error


@asynccontextmanager
async def open_transport(timeout_s: float) -> AsyncIterator[Transport]:
    """A Transport with a pool of its own, closed when the block ends."""
    import aiohttp

    session = aiohttp.ClientSession(
        auto_decompress=False,  # digests are over what is stored, not over what a server made of it
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": "firkin"},
        read_bufsize=CHUNK_BYTES,
        timeout=aiohttp.ClientTimeout(total=None, connect=timeout_s, sock_read=timeout_s),
    )
    async with session:
        yield Transport(session, timeout_s)


async def read_document(response: ClientResponse, limit_bytes: int, timeout_s: float, what: str) -> bytes:
    """The whole body. Raises IntegrityError where it is longer than `limit_bytes`, Timeout where it drips."""
    content = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > limit_bytes:
                    raise IntegrityError(
                        f"{what} has more than {limit_bytes} bytes", hint="ask its publisher"
                    )
    except TimeoutError as error:
        if isinstance(error, FirkinError):
            raise
        raise _timeout(response.url, timeout_s, f"send {what}") from error
    return bytes(content)


def following_url(response: ClientResponse, url: URL) -> URL:
    """Where the Location of the `response` from `url` leads. Raises RegistryError for what is not to be
    followed.
    """
    location = response.headers.get("Location", "")
    if not location:
        raise RegistryError(f"{url.origin()} redirects to nowhere", hint="ask its operator")
    try:
        following = url.join(type(url)(location, encoded=True))
    except ValueError as error:
        raise RegistryError(f"{url.origin()} redirects to {location[:80]!r}: {error}") from error
    if following.scheme not in ("http", "https") or not following.host:
        raise RegistryError(
            f"{url.origin()} redirects to {location[:80]!r}, which is no HTTP", hint="ask its operator"
        )
    if url.scheme == "https" and following.scheme == "http":
        raise RegistryError(
            f"{url.origin()} redirects to {following.origin()}, without the protection of TLS",
            hint="ask its operator",
        )
    return following


def _in_words(error: ClientError | OSError, url: URL, timeout_s: float) -> FirkinError:
    """`error`, which aiohttp raised on the way to `url`, as one of ours."""
    import aiohttp

    host = url.authority
    if isinstance(error, TimeoutError):
        return _timeout(url, timeout_s, "answer")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        from firkin.faults.reported import UNTRUSTED_AUTHORITY

        reason = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
        return RegistryUnreachable(
            f"cannot trust the certificate of {host}: {reason}",
            hint=f"{_INSECURE_HINT.format(host=host)}; {UNTRUSTED_AUTHORITY.more}",
        )
    if isinstance(error, aiohttp.ClientSSLError):
        return _no_tls(error.os_error, host)
    if isinstance(error, aiohttp.ClientConnectorError):
        return _no_connection(error.os_error, host)
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return ConnectionLost(f"{host} hung up before its answer was complete", hint="try again")
    if isinstance(error, OSError):
        return ConnectionLost(f"lost the connection to {host}: {error.strerror or error}", hint="try again")
    return RegistryError(f"{host} does not speak HTTP as it should: {error}", hint="is it a registry?")


def _timeout(url: URL, timeout_s: float, deed: str) -> Timeout:
    return Timeout(
        f"{url.authority} did not {deed} within {timeout_s:g} s (registry_timeout_s)",
        hint="try again, or allow more with FIRKIN_REGISTRY_TIMEOUT_S",
    )


def _no_tls(error: OSError, host: str) -> FirkinError:
    hint = _INSECURE_HINT.format(host=host)
    if isinstance(error, ssl.SSLError) and error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        from firkin.faults.reported import PLAIN_HTTP

        what = f"{host} speaks plain HTTP, without the protection of TLS"
        return RegistryUnreachable(what, hint=PLAIN_HTTP.hint(host=host))
    return RegistryUnreachable(f"cannot set up TLS with {host}: {error.strerror or error}", hint=hint)


def _no_connection(error: OSError, host: str) -> FirkinError:
    import socket

    reason = error.strerror or str(error)
    if isinstance(error, socket.gaierror):
        return RegistryUnreachable(
            f"cannot find the host {host}: {reason}", hint="check its name, and your DNS"
        )
    if isinstance(error, ConnectionRefusedError):
        return RegistryUnreachable(
            f"cannot connect to {host}: connection refused", hint="is the registry running there?"
        )
    return RegistryUnreachable(
        f"cannot connect to {host}: {reason}", hint="check the network, and the registry's name"
    )
