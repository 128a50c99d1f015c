"""A small HTTP server that serves an image and misbehaves where a test says so.

    with bad_registry() as registry:
        image = registry.add_image("x")                        # served properly
        registry.routes[f"/v2/x/blobs/{digest}"] = drop_after(1000)

Routes are functions of an Exchange; what has no route is 404. All requests are remembered.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from firkin.oci import media_types as types
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.oci.image_config import ImageConfig, encode_config
from firkin.oci.manifest import Manifest, encode_manifest
from firkin.oci.platform import Platform
from tests.support.images import tar_of

LAYER = tar_of({"big": bytes(range(256)) * 16384})
"""4 MiB: several of the client's chunks."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came in; without the body of a PUT or PATCH, which its route receives."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def authorization(self) -> str:
        return self.headers.get("Authorization", "")


class Exchange:
    """One request to answer, in any way that TCP allows."""

    def __init__(self, handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        self.seen = seen
        self._handler = handler

    def send(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        """A complete answer; `headers` may lie about its length."""
        self.begin(status, {"Content-Length": str(len(body))} | dict(headers or {}))
        self.write(body)

    def receive(self, limit_bytes: int | None = None) -> bytes:
        """The body of a PUT or PATCH, or its first bytes."""
        length = int(self.seen.headers.get("Content-Length", "0"))
        return self._handler.rfile.read(length if limit_bytes is None else min(length, limit_bytes))

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()

    def write(self, content: bytes) -> None:
        if self.seen.method != "HEAD":
            self._handler.wfile.write(content)

    def cut(self) -> None:
        """Nothing more comes on this connection."""
        self._handler.wfile.flush()
        self._handler.close_connection = True


Route = Callable[[Exchange], None]


@dataclass(slots=True)
class BadRegistry:
    """`host` is 127.0.0.1:<port>. `released` lets go of those routes that wait."""

    host: str
    routes: dict[str, Route] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def add_image(self, name: str, layer: bytes = LAYER, **changes: Any) -> Manifest:
        """Serve an image of one layer under the tag `latest` and its digest; `changes` are of its layer."""
        config = encode_config(ImageConfig(platform=Platform.host(), diff_ids=(Digest.of(layer),)))
        fields: dict[str, Any] = {
            "media_type": types.OCI_LAYER,
            "digest": Digest.of(layer),
            "size_bytes": len(layer),
        }
        described = Descriptor(**fields | changes)
        described_config = Descriptor(types.OCI_CONFIG, Digest.of(config), len(config))
        manifest = Manifest(types.OCI_MANIFEST, described_config, (described,))
        self.routes[f"/v2/{name}/blobs/{Digest.of(config)}"] = blob(config)
        self.routes[f"/v2/{name}/blobs/{described.digest}"] = blob(layer)
        self.add_manifest(name, encode_manifest(manifest))
        return manifest

    def add_manifest(self, name: str, content: bytes, media_type: str = types.OCI_MANIFEST) -> None:
        for reference in ("latest", Digest.of(content)):
            self.routes[f"/v2/{name}/manifests/{reference}"] = document(content, media_type)

    def blob_path(self, name: str, layer: bytes = LAYER) -> str:
        return f"/v2/{name}/blobs/{Digest.of(layer)}"

    def asked_for(self, path: str) -> list[Seen]:
        return [request for request in self.seen if request.path == path]


@contextlib.contextmanager
def bad_registry() -> Iterator[BadRegistry]:
    """The server, in a thread, until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.registry = BadRegistry(f"127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.registry
    finally:
        server.registry.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def document(content: bytes, media_type: str) -> Route:
    return lambda exchange: exchange.send(200, {"Content-Type": media_type}, content)


def blob(content: bytes) -> Route:
    """A blob as an honest registry serves it, ranges too."""

    def serve(exchange: Exchange) -> None:
        match = re.fullmatch(r"bytes=(\d+)-", exchange.seen.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        if match is None:
            exchange.send(200, {}, content)
        elif start >= len(content):
            exchange.send(416)
        else:
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            exchange.send(206, {"Content-Range": span}, content[start:])

    return serve


def cut_after(size: int, content: bytes = LAYER) -> Route:
    """Promise the whole `content` and hang up after `size` bytes of it."""

    def serve(exchange: Exchange) -> None:
        exchange.send(200, {"Content-Length": str(len(content))}, content[:size])
        exchange.cut()

    return serve


def once(first: Route, then: Route) -> Route:
    """The one for the first request, the other for all that follow."""
    routes = [first]

    def serve(exchange: Exchange) -> None:
        route = routes.pop() if routes else then
        route(exchange)

    return serve


class _Server(ThreadingHTTPServer):
    registry: BadRegistry
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        registry = self.server.registry
        path, _, query = self.path.partition("?")
        uploads = self.command in ("PUT", "PATCH")
        body = b"" if uploads else self.rfile.read(int(self.headers.get("Content-Length", "0")))
        seen = Seen(self.command, path, query, dict(self.headers.items()), body)
        registry.seen.append(seen)
        exchange = Exchange(self, seen)
        route = registry.routes.get(path)
        if route is None:
            exchange.send(404)
        else:
            route(exchange)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass
