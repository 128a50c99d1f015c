"""PortTest: a health check that asks a port of the machine from inside, as a value and as a check's test.

    ("TCP", "8080")                                                whoever accepts is healthy
    ("HTTP", "https://localhost:8443/ready", "Accept: text/x")     whoever answers with 200 to 399 is
    ("GRPC", "9000", "web")    who says that its service is serving (grpc.health.v1); without one the server

No program of the image is needed for it. A certificate is not looked at: nobody is between the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import msgspec

from firkin.errors import UsageError

_HOSTS = ("", "localhost", "127.0.0.1", "::1")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[\t\x20-\x7e\x80-\xff]*")
_PATH = re.compile(r"/[\x21-\x7e]*")
_SERVICE = re.compile(r"[\x21-\x7e]{0,1024}")
_MOST_BYTES, _MOST_HEADERS = 4096, 32
_HINT = "write http://localhost:PORT/PATH"


class PortTest(msgspec.Struct, frozen=True, kw_only=True):
    """`scheme` "" only connects; of "grpc" the `path` is a service's name, or ""."""

    port: int
    scheme: str = ""
    host: str = ""
    """One of _HOSTS."""
    path: str = "/"
    headers: tuple[str, ...] = ()

    @classmethod
    def parse(cls, test: Sequence[str]) -> PortTest:
        """What a check's test asks. Raises UsageError."""
        kind, *words = test
        if kind == "TCP" and len(words) == 1:
            return cls(port=_port(words[0]))
        if kind == "GRPC" and len(words) in (1, 2):
            return cls(port=_port(words[0]), scheme="grpc", path=_service("".join(words[1:])))
        if kind == "HTTP" and words:
            return cls.of_url(words[0], words[1:])
        raise UsageError(f"{' '.join(test)!r} asks no port", hint=_HINT)

    @classmethod
    def of_url(cls, url: str, headers: Iterable[str] = ()) -> PortTest:
        """One that asks for `url`. Raises UsageError."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError(f"{url!r} is no address of a page: {error}", hint=_HINT) from error
        if parts.scheme not in ("http", "https") or parts.username is not None or parts.fragment:
            raise UsageError(f"{url!r} is no address of a page", hint=_HINT)
        if (parts.hostname or "") not in _HOSTS:
            raise UsageError(
                f"{url!r}: a container is asked itself, and not {parts.hostname}", hint="write localhost"
            )
        return cls(
            port=_port(str(port or {"http": 80, "https": 443}[parts.scheme])),
            scheme=parts.scheme,
            host=parts.hostname or "",
            path=_path((parts.path or "/") + (f"?{parts.query}" if parts.query else "")),
            headers=_headers(headers),
        )

    @property
    def test(self) -> tuple[str, ...]:
        """The test that it was parsed of."""
        if not self.scheme:
            return "TCP", str(self.port)
        if self.scheme == "grpc":
            return "GRPC", str(self.port), *filter(None, (self.path,))
        host = f"[{self.host}]" if ":" in self.host else self.host or "localhost"
        return "HTTP", f"{self.scheme}://{host}:{self.port}{self.path}", *self.headers

    @property
    def address(self) -> str:
        """What of the machine's loopback is asked; "": IPv4's, then IPv6's."""
        return "" if self.host == "localhost" else self.host

    @property
    def request(self) -> bytes:
        """What is sent."""
        own = {line.partition(":")[0].lower() for line in self.headers}
        host = f"[{self.host}]" if ":" in self.host else self.host or "localhost"
        given = {"Host": f"{host}:{self.port}", "User-Agent": "firkin-probe", "Accept": "*/*"}
        lines = [f"{name}: {value}" for name, value in given.items() if name.lower() not in own]
        head = [f"GET {self.path} HTTP/1.1", *lines, *self.headers, "Connection: close", "", ""]
        return "\r\n".join(head).encode("latin-1")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise UsageError(f"{text!r} is not a TCP port", hint="choose from 1 to 65535")
    return int(text)


def _path(path: str) -> str:
    if not _PATH.fullmatch(path) or len(path) > _MOST_BYTES:
        raise UsageError(f"{path[:60]!r} is not the path of a page", hint="escape what is no ASCII: %20")
    return path


def _service(name: str) -> str:
    if not _SERVICE.fullmatch(name):
        raise UsageError(f"{name[:60]!r} is not the name of a service", hint="such as my.package.Service")
    return name


def _headers(said: Iterable[str]) -> tuple[str, ...]:
    found = tuple(said)
    for line in found:
        if not _HEADER.fullmatch(line) or len(line) > _MOST_BYTES:
            raise UsageError(f"{line[:60]!r} is not a header", hint="write 'Name: value'")
    if len(found) > _MOST_HEADERS:
        raise UsageError(f"more than {_MOST_HEADERS} headers", hint="leave some out")
    return found
