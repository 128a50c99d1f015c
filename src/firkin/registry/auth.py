"""Auth: what a registry asks for with a 401, and the Authorization header that answers it.

RFC 7235's challenges; Docker's token authentication ("Token Authentication Specification" and "OAuth2", of
the distribution project), which Docker Hub and most others use; RFC 7617's Basic. Tokens are kept until
they run out.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from firkin.errors import AuthenticationFailed, RegistryError
from firkin.registry.credentials import Credentials, find_credentials
from firkin.registry.transport import Transport, read_document

if TYPE_CHECKING:
    from yarl import URL

_MAX_TOKEN_BYTES = 1 << 20
_DEFAULT_LIFE_S = 60
_CHALLENGE = re.compile(r"(Bearer|Basic)\s+(.*)", re.IGNORECASE | re.DOTALL)
_PARAMETER = re.compile(r'(?<![a-z_])([a-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))', re.IGNORECASE)
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a registry wants: `basic` or `bearer`, and its parameters in lower case."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, headers: Iterable[str]) -> Challenge | None:
        """The first challenge of these WWW-Authenticate headers that firkin can answer, Bearer before
        Basic.
        """
        found = []
        for match in filter(None, map(_CHALLENGE.match, headers)):
            parameters = {
                key.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
                for key, quoted, plain in _PARAMETER.findall(match[2])
            }
            found.append(cls(match[1].lower(), parameters))
        return max(found, key=lambda challenge: challenge.scheme == "bearer", default=None)


class _Token(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""
    expires_in: float | None = None


class Login:
    """One repository's Authorization header: asked for once, shared by all of its requests."""

    def __init__(
        self,
        transport: Transport,
        auth_files: tuple[str, ...],
        registry: str,
        repository: str,
        *,
        scopes: tuple[str, ...] = (),
    ) -> None:
        """`scopes` are asked for in any case ("Token Scope Documentation"), beside what a challenge names."""
        self._transport = transport
        self._auth_files = auth_files
        self._registry = registry
        self._repository = repository
        self._scopes = scopes
        self._header = ""
        self._good_until = 0.0
        self._lock = asyncio.Lock()

    @property
    def header(self) -> str:
        """The Authorization header to send, "" while none is known to be wanted."""
        return self._header if time.monotonic() < self._good_until else ""

    async def answer(self, challenges: Iterable[str], refused: str, url: URL, *, verify: bool) -> None:
        """Make `header` what the 401 from `url` asks for, to which the header `refused` was sent.

        Raises AuthenticationFailed where nothing better than `refused` can be had.
        """
        async with self._lock:
            if self.header and self.header != refused:
                return  # another request of this repository has just done it
            challenge = Challenge.parse(challenges)
            if challenge is None:
                raise self._failed("asks for a kind of login that firkin does not know")
            credentials = await find_credentials(self._auth_files, self._registry, self._repository)
            if challenge.scheme == "basic":
                header, life_s = self._basic(credentials), float("inf")
            else:
                header, life_s = await self._bearer(challenge, credentials, url, verify=verify)
            if header == refused:
                raise self._failed("refuses this login" if credentials else "wants a login")
            self._header, self._good_until = header, time.monotonic() + life_s

    def _basic(self, credentials: Credentials | None) -> str:
        if credentials is None or not credentials.username:
            raise self._failed("wants a user and a password")
        return credentials.basic

    async def _bearer(
        self, challenge: Challenge, credentials: Credentials | None, url: URL, *, verify: bool
    ) -> tuple[str, float]:
        """A header with a fresh token, and how many seconds it is good for."""
        realm = self._realm(challenge, url)
        scopes = self._wanted(challenge)
        asked = {"service": service} if (service := challenge.parameters.get("service")) else {}
        verify = verify or realm.authority != url.authority
        if credentials is not None and credentials.identity_token:
            asked |= {"scope": " ".join(scopes), **_refresh(credentials.identity_token)}
            token = await self._fetch(realm, {}, verify=verify, data=asked)
        else:
            headers = {"Authorization": credentials.basic} if credentials else {}
            asking = realm.update_query(asked).extend_query([("scope", scope) for scope in scopes])
            token = await self._fetch(asking, headers, verify=verify)
        text = token.token or token.access_token
        if not _TOKEN.fullmatch(text):
            raise RegistryError(f"{realm.authority} gave no token", hint="ask its operator")
        return f"Bearer {text}", max(10.0, (token.expires_in or _DEFAULT_LIFE_S) * 0.9)

    def _wanted(self, challenge: Challenge) -> list[str]:
        """The scopes to ask for: ours, and the challenge's for what ours do not speak of."""
        challenged = challenge.parameters.get("scope") or f"repository:{self._repository}:pull"
        spoken_of = {scope.rpartition(":")[0] for scope in self._scopes}
        others = [scope for scope in challenged.split(" ") if scope.rpartition(":")[0] not in spoken_of]
        return [*self._scopes, *others]

    def _realm(self, challenge: Challenge, url: URL) -> URL:
        """Where to get the token. It gets the password, so it is no less protected than the registry."""
        try:
            realm = type(url)(challenge.parameters.get("realm", ""))
        except ValueError:
            realm = type(url)()
        if realm.scheme not in ("https", url.scheme) or not realm.host:
            raise self._failed(f"sends us for a token to {str(realm)[:80]!r}, where no password may go")
        return realm

    async def _fetch(
        self, url: URL, headers: dict[str, str], *, verify: bool, data: dict[str, str] | None = None
    ) -> _Token:
        async with self._transport.get(url, headers, verify=verify, data=data) as response:
            content = await read_document(response, _MAX_TOKEN_BYTES, self._transport.timeout_s, "a token")
            if response.status in (400, 401, 403):
                raise self._failed(
                    "refuses this login" if headers or data else "gives no token without a login"
                )
            if response.status != 200:
                raise RegistryError(
                    f"{url.authority} gave status {response.status} for a token", hint="try again later"
                )
        try:
            return msgspec.json.decode(content, type=_Token)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RegistryError(f"{url.authority} gave no token: {error}", hint="ask its operator") from error

    def _failed(self, reason: str) -> AuthenticationFailed:
        registry = self._registry
        return AuthenticationFailed(
            f"{registry} {reason}, for {self._repository}",
            hint=f"check the image's name, or log in: podman login {registry} (docker login works too)",
        )


def _refresh(identity_token: str) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": identity_token, "client_id": "firkin"}
