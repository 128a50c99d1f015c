"""Bytes from an archive, by http(s) through apt's proxy, or from a directory of this host; bounded either
way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from firkin.errors import NotFound, RegistryError, RegistryUnreachable
from firkin.events import event
from firkin.machine.debian.sources import AptConfig

if TYPE_CHECKING:
    import aiohttp

_CHUNK_BYTES = 1 << 18


class Fetcher:
    """Fetches from archives. Made by open_fetcher, which owns its connections."""

    def __init__(self, session: aiohttp.ClientSession, config: AptConfig) -> None:
        self._session = session
        self._config = config

    async def fetch(self, uri: str, *, limit_bytes: int) -> bytes:
        """The file at `uri`. Raises NotFound, RegistryUnreachable, RegistryError where it is longer than the
        limit.
        """
        scheme = urlsplit(uri).scheme
        if scheme in ("file", "copy"):
            return await asyncio.to_thread(_read, uri, limit_bytes)
        if scheme in ("http", "https"):
            return await self._get(uri, limit_bytes)
        raise RegistryError(
            f"cannot fetch {uri}: apt's method {scheme!r} is not supported", hint="use http or https"
        )

    async def _get(self, uri: str, limit_bytes: int) -> bytes:
        import aiohttp

        try:
            async with self._session.get(uri, proxy=self._config.proxy(uri) or None) as response:
                if response.status in (403, 404, 410):
                    raise NotFound(f"the archive has no {uri}", hint="refresh apt's sources")
                if response.status != 200:
                    raise RegistryError(
                        f"{uri} answers {response.status} {response.reason}", hint="try again later"
                    )
                return await _body(response, uri, limit_bytes)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RegistryUnreachable(
                f"cannot fetch {uri}: {error or type(error).__name__}",
                hint="check the network, and apt's proxy",
            ) from error


@asynccontextmanager
async def open_fetcher(config: AptConfig, timeout_s: float) -> AsyncIterator[Fetcher]:
    """A Fetcher; `timeout_s` bounds the connect and each silence, not a long transfer."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=timeout_s, sock_read=timeout_s)
    async with aiohttp.ClientSession(
        timeout=timeout,
        auto_decompress=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "firkin"},
    ) as session:
        yield Fetcher(session, config)


async def _body(response: aiohttp.ClientResponse, uri: str, limit_bytes: int) -> bytes:
    parts, size = [], 0
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        parts.append(chunk)
        size += len(chunk)
        if size > limit_bytes:
            raise _too_long(uri, limit_bytes)
        event("kernel.progress", uri=uri, done=size, total=response.content_length or 0)
    return b"".join(parts)


def _read(uri: str, limit_bytes: int) -> bytes:
    path = Path(unquote(urlsplit(uri).path))
    try:
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except FileNotFoundError as error:
        raise NotFound(f"the archive has no {path}", hint="refresh apt's sources") from error
    except OSError as error:
        raise RegistryUnreachable(f"cannot read {path}: {error.strerror}", hint="mend its mode") from error
    if len(data) > limit_bytes:
        raise _too_long(uri, limit_bytes)
    return data


def _too_long(uri: str, limit_bytes: int) -> RegistryError:
    return RegistryError(
        f"{uri} has more than {limit_bytes} bytes", hint="it is not what it should be; report it"
    )
