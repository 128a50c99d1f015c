"""An honest repository that takes pushes, and what may go wrong in one.

    uploads = Uploads(registry)                       # of bad_registry(): /v2/x/...
    uploads.troubles.append(cut_after(1000))          # the next PUT or PATCH of a blob meets this instead

It keeps what came, as registries do, even when the connection broke.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs

from firkin.oci.digest import Digest
from tests.support.bad_registry import BadRegistry, Exchange

Trouble = Callable[["Uploads", Exchange, str], None]


class Uploads:
    """`blobs` and `manifests` are what was pushed; `bodies` how many bytes each PUT and PATCH brought."""

    def __init__(self, registry: BadRegistry, name: str = "x") -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.open: dict[str, bytearray] = {}
        self.bodies: list[int] = []
        self.troubles: list[Trouble] = []
        self.location_prefix = ""
        self._registry = registry
        self._base = f"/v2/{name}"
        registry.routes[f"{self._base}/blobs/uploads/"] = self.begin
        registry.routes[f"{self._base}/manifests/latest"] = self.take_manifest

    def begin(self, exchange: Exchange) -> None:
        path = f"{self._base}/blobs/uploads/{len(self._registry.routes)}"
        self.open[path] = bytearray()
        self._registry.routes[path] = self.go_on
        exchange.send(202, {"Location": self.location_prefix + path})

    def go_on(self, exchange: Exchange) -> None:
        seen = exchange.seen
        if seen.method == "GET":
            self.tell(exchange, 204)
        elif self.troubles and int(seen.headers.get("Content-Length", "0")):
            self.troubles.pop(0)(self, exchange, seen.path)
        else:
            self.take(exchange)

    def take(self, exchange: Exchange, limit_bytes: int | None = None) -> None:
        """Keep what comes; answer, where it all came."""
        content = self.open[exchange.seen.path]
        body = exchange.receive(limit_bytes)
        content += body
        if body:
            self.bodies.append(len(body))
        if limit_bytes is not None:
            exchange.cut()
        elif exchange.seen.method == "PATCH":
            self.tell(exchange, 202)
        else:
            self.end(exchange, bytes(content))

    def end(self, exchange: Exchange, content: bytes) -> None:
        (promised,) = parse_qs(exchange.seen.query)["digest"]
        if promised != str(Digest.of(content)):
            said = b'{"errors": [{"code": "DIGEST_INVALID", "message": "digest did not match"}]}'
            exchange.send(400, {}, said)
            return
        self.blobs[promised] = content
        exchange.send(201, {"Docker-Content-Digest": promised})

    def tell(self, exchange: Exchange, status: int) -> None:
        path = exchange.seen.path
        end = max(0, len(self.open[path]) - 1)
        exchange.send(status, {"Range": f"0-{end}", "Location": self.location_prefix + path})

    def take_manifest(self, exchange: Exchange) -> None:
        content = exchange.receive()
        self.manifests[exchange.seen.path.rpartition("/")[2]] = content
        exchange.send(201, {"Docker-Content-Digest": str(Digest.of(content))})


def cut_after(size_bytes: int) -> Trouble:
    """Take so much, and hang up."""
    return lambda uploads, exchange, path: uploads.take(exchange, size_bytes)


def refuse(status: int, headers: dict[str, str] | None = None) -> Trouble:
    """Take it all, keep nothing, and say so."""

    def trouble(uploads: Uploads, exchange: Exchange, path: str) -> None:
        exchange.receive()
        exchange.send(status, headers)

    return trouble


def forget(uploads: Uploads, exchange: Exchange, path: str) -> None:
    """Know nothing of this upload any more."""
    exchange.receive()
    del uploads._registry.routes[path]
    exchange.send(404)
