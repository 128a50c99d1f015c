"""Registries that break, lie and stall: each gives one clear error, and nothing half done stays."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firkin.engine.images import Images
from firkin.errors import (
    Corrupt,
    DigestMismatch,
    FirkinError,
    ImageNotFound,
    IntegrityError,
    PlatformNotFound,
    RegistryError,
    RegistryUnreachable,
    StorageFull,
    Timeout,
    UnsupportedMediaType,
)
from firkin.events import Event, subscribed
from firkin.oci import media_types as types
from firkin.oci.digest import Digest
from firkin.oci.manifest import encode_manifest
from firkin.pytest.home import Home
from firkin.settings import Settings
from firkin.store.store import Store
from tests.support.bad_registry import (
    LAYER,
    BadRegistry,
    Exchange,
    bad_registry,
    blob,
    cut_after,
    document,
    once,
)

HALF = len(LAYER) // 2


@pytest.fixture
def registry() -> Iterator[BadRegistry]:
    with bad_registry() as registry:
        yield registry


@pytest.fixture
def settings(home: Home) -> Settings:
    return Settings.load(home.environ(), registry_timeout_s=2.0)


def kept(settings: Settings) -> list[str]:
    """Everything under data but whole blobs, their directories, and the files that are always there."""
    always = (settings.paths.blobs_dir, settings.paths.events_path.parent)
    left = [path for path in settings.paths.data.rglob("*") if path.is_file()]
    return [
        str(path.relative_to(settings.paths.data))
        for path in left
        if path.parent not in always and path.name not in ("version", "lock")
    ]


async def pull(settings: Settings, registry: BadRegistry, name: str = "x") -> None:
    await Images(settings).pull(f"{registry.host}/{name}")


async def refused(
    settings: Settings, registry: BadRegistry, error: type[FirkinError], words: str
) -> FirkinError:
    """Pull, which must fail so, say so, and leave neither a name nor half a blob."""
    with pytest.raises(error) as caught:
        await pull(settings, registry)
    assert words in str(caught.value)
    assert kept(settings) == []
    assert not Store(settings.paths).has_blob(Digest.of(LAYER))
    return caught.value


async def test_an_honest_server_serves_the_image(settings: Settings, registry: BadRegistry) -> None:
    registry.add_image("x")
    await pull(settings, registry)
    assert Store(settings.paths).read_blob(Digest.of(LAYER), 1 << 30) == LAYER
    assert kept(settings) == [f"refs/{registry.host}/x/_tags/latest"]


# --- layers that are not what was promised ----------------------------------------------------------------


async def test_a_layer_with_a_wrong_digest_is_refused(settings: Settings, registry: BadRegistry) -> None:
    registry.add_image("x")
    registry.routes[registry.blob_path("x")] = blob(LAYER[:-1] + b"!")
    await refused(settings, registry, DigestMismatch, f"blob {Digest.of(LAYER)} has the digest sha256:")


async def test_a_layer_that_the_registry_has_in_another_length_is_refused_at_once(
    settings: Settings, registry: BadRegistry
) -> None:
    registry.add_image("x")
    registry.routes[registry.blob_path("x")] = blob(LAYER[:HALF])
    await refused(
        settings, registry, DigestMismatch, f"has {HALF} bytes at {registry.host}, not the promised"
    )
    assert len(registry.asked_for(registry.blob_path("x"))) == 1


async def test_a_layer_that_ends_early_without_a_length_is_refused(
    settings: Settings, registry: BadRegistry
) -> None:
    def serve(exchange: Exchange) -> None:
        exchange.begin(200, {"Transfer-Encoding": "chunked"})
        exchange.write(b"%x\r\n%s\r\n0\r\n\r\n" % (HALF, LAYER[:HALF]))

    registry.add_image("x")
    registry.routes[registry.blob_path("x")] = serve
    await refused(settings, registry, DigestMismatch, f"ended after {HALF} of {len(LAYER)} bytes")


async def test_a_layer_without_an_end_is_cut_off(settings: Settings, registry: BadRegistry) -> None:
    def serve(exchange: Exchange) -> None:
        exchange.begin(200, {"Connection": "close"})
        while not registry.released.is_set():
            exchange.write(LAYER)

    registry.add_image("x")
    registry.routes[registry.blob_path("x")] = serve
    await refused(settings, registry, DigestMismatch, f"more than the promised {len(LAYER)} bytes")


async def test_a_layer_larger_than_the_disk_is_refused_before_a_byte_of_it_comes(
    settings: Settings, registry: BadRegistry
) -> None:
    registry.add_image("x", size_bytes=1 << 40)
    await refused(settings, registry, StorageFull, f"{1 << 40} bytes (1.1TB) are needed")
    assert registry.asked_for(registry.blob_path("x")) == []


@pytest.mark.parametrize(
    "media_type", ["application/x-odd", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"]
)
async def test_a_layer_of_a_type_that_we_do_not_take_is_refused_before_anything_is_fetched(
    settings: Settings, registry: BadRegistry, media_type: str
) -> None:
    registry.add_image("x", media_type=media_type)
    await refused(settings, registry, UnsupportedMediaType, media_type)
    assert not any("/blobs/" in request.path for request in registry.seen)


# --- connections that break -------------------------------------------------------------------------------


async def test_a_transfer_that_breaks_goes_on_where_it_stopped(
    settings: Settings, registry: BadRegistry
) -> None:
    registry.add_image("x")
    path = registry.blob_path("x")
    registry.routes[path] = once(cut_after(HALF), blob(LAYER))
    await pull(settings, registry)
    ranges = [request.headers.get("Range") for request in registry.asked_for(path)]
    assert ranges[0] is None
    assert ranges[1] is not None
    assert 0 < int(ranges[1].removeprefix("bytes=").removesuffix("-")) <= HALF
    assert Store(settings.paths).read_blob(Digest.of(LAYER), 1 << 30) == LAYER


async def test_a_transfer_that_breaks_begins_again_where_the_registry_knows_no_ranges(
    settings: Settings, registry: BadRegistry
) -> None:
    registry.add_image("x")
    whole = document(LAYER, "application/octet-stream")
    registry.routes[registry.blob_path("x")] = once(cut_after(HALF), whole)
    await pull(settings, registry)
    assert Store(settings.paths).has_blob(Digest.of(LAYER))


async def test_a_range_that_is_not_the_one_asked_for_is_not_pasted_in(
    settings: Settings, registry: BadRegistry
) -> None:
    def elsewhere(exchange: Exchange) -> None:
        exchange.send(206, {"Content-Range": f"bytes 7-{len(LAYER) - 1}/{len(LAYER)}"}, LAYER[7:])

    registry.add_image("x")
    registry.routes[registry.blob_path("x")] = once(cut_after(HALF), once(elsewhere, blob(LAYER)))
    await pull(settings, registry)
    assert Store(settings.paths).read_blob(Digest.of(LAYER), 1 << 30) == LAYER


async def test_a_transfer_that_always_breaks_ends_and_leaves_nothing(
    settings: Settings, registry: BadRegistry
) -> None:
    registry.add_image("x")
    registry.routes[registry.blob_path("x")] = cut_after(HALF)
    await refused(settings, registry, RegistryUnreachable, f"blob {Digest.of(LAYER)}")
    assert len(registry.asked_for(registry.blob_path("x"))) <= 8


async def test_a_transfer_that_stalls_names_the_deadline(settings: Settings, registry: BadRegistry) -> None:
    def stall(exchange: Exchange) -> None:
        exchange.send(200, {"Content-Length": str(len(LAYER))}, b"")
        registry.released.wait()

    settings = Settings.load(dict(os.environ), registry_timeout_s=0.2)
    registry.add_image("x")
    registry.routes[registry.blob_path("x")] = stall
    await refused(settings, registry, Timeout, "within 0.2 s (registry_timeout_s)")


async def test_a_cancelled_pull_leaves_nothing(settings: Settings, registry: BadRegistry) -> None:
    halfway = asyncio.Event()

    def watch(event: Event) -> None:
        if event.name == "layer.progress" and event.fields["done"] >= 1 << 20:
            halfway.set()

    def stall(exchange: Exchange) -> None:
        exchange.send(200, {"Content-Length": str(len(LAYER))}, LAYER[:HALF])
        registry.released.wait()

    registry.add_image("x")
    registry.routes[registry.blob_path("x")] = stall
    with subscribed(watch):
        pulling = asyncio.create_task(pull(settings, registry))
    await asyncio.wait_for(halfway.wait(), 10)
    pulling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pulling
    assert kept(settings) == []


async def test_what_a_killed_pull_left_is_gone_on_with_by_the_next(
    settings: Settings, registry: BadRegistry, home: Home
) -> None:
    def stall(exchange: Exchange) -> None:
        exchange.send(200, {"Content-Length": str(len(LAYER))}, LAYER[:HALF])
        registry.released.wait()

    registry.add_image("x")
    path = registry.blob_path("x")
    registry.routes[path] = once(stall, blob(LAYER))
    await asyncio.to_thread(_pull_and_die_halfway, home, f"{registry.host}/x")
    assert kept(settings) == [f"ingest/{Digest.of(LAYER).hex}"]
    (settings.paths.ingest_dir / "somebody-else").write_bytes(b"garbage of another crash")
    await pull(settings, registry)
    first, second = registry.asked_for(path)
    assert "Range" not in first.headers
    assert second.headers["Range"].startswith("bytes=")
    assert kept(settings) == [f"refs/{registry.host}/x/_tags/latest"]


def _pull_and_die_halfway(home: Home, name: str) -> None:
    program = f"""
import asyncio, os, signal
from firkin.engine.images import Images
from firkin.events import subscribed
from firkin.settings import Settings

def die(event):
    if event.name == "layer.progress" and event.fields["done"] >= 1 << 20:
        os.kill(os.getpid(), signal.SIGKILL)

with subscribed(die):
    asyncio.run(Images(Settings.load()).pull({name!r}))
"""
    ended = subprocess.run([sys.executable, "-c", program], env=home.environ(), timeout=60)
    assert ended.returncode == -9


async def test_a_layer_that_somebody_else_is_fetching_is_waited_for_and_not_fetched_twice(
    settings: Settings, registry: BadRegistry
) -> None:
    registry.add_image("x")
    digest = Digest.of(LAYER)
    waiting = asyncio.Event()
    registry_loop = asyncio.get_running_loop()
    manifest_served = registry.routes["/v2/x/manifests/latest"]

    def serve(exchange: Exchange) -> None:
        manifest_served(exchange)
        registry_loop.call_soon_threadsafe(waiting.set)

    registry.routes["/v2/x/manifests/latest"] = serve
    with Store(settings.paths).ingest(digest, len(LAYER)) as rival:
        pulling = asyncio.create_task(pull(settings, registry))
        await waiting.wait()
        rival.write(LAYER)
        rival.commit()
    await pulling
    assert registry.asked_for(registry.blob_path("x")) == []


# --- registries that refuse -------------------------------------------------------------------------------


async def test_an_unknown_image_is_named_with_the_registry(settings: Settings, registry: BadRegistry) -> None:
    await refused(settings, registry, ImageNotFound, f"{registry.host} has no image {registry.host}/x:latest")


async def test_a_busy_registry_is_asked_again_when_it_says_so(
    settings: Settings, registry: BadRegistry
) -> None:
    registry.add_image("x")
    path = "/v2/x/manifests/latest"
    registry.routes[path] = once(
        lambda exchange: exchange.send(429, {"Retry-After": "0"}), registry.routes[path]
    )
    await pull(settings, registry)
    assert len(registry.asked_for(path)) == 2


async def test_a_registry_that_asks_for_too_long_a_wait_is_not_waited_for(
    settings: Settings, registry: BadRegistry
) -> None:
    registry.routes["/v2/x/manifests/latest"] = lambda exchange: exchange.send(
        429, {"Retry-After": "3600"}, b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}'
    )
    error = await refused(settings, registry, RegistryError, "says that we ask too often")
    assert "(slow down)" in str(error)
    assert error.hint == "try again in 3600 s"


async def test_a_broken_registry_is_tried_a_few_times(settings: Settings, registry: BadRegistry) -> None:
    registry.routes["/v2/x/manifests/latest"] = lambda exchange: exchange.send(500, {"Retry-After": "0"})
    await refused(settings, registry, RegistryError, "answered status 500 for image")
    assert len(registry.asked_for("/v2/x/manifests/latest")) == 4


async def test_a_host_that_is_not_there_is_named(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(RegistryUnreachable, match=f"cannot connect to 127.0.0.1:{port}: connection refused"):
        await Images(settings).pull(f"127.0.0.1:{port}/x")
    with pytest.raises(RegistryUnreachable, match=r"cannot find the host registry\.invalid"):
        await Images(settings).pull("registry.invalid/x")
    assert kept(settings) == []


async def test_a_server_that_is_no_registry_is_told_from_one(settings: Settings) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(RegistryError, match=host):
            await Images(settings).pull(f"{host}/x")


# --- documents that are not what they should be -----------------------------------------------------------


async def test_a_manifest_of_unknown_type_is_refused_by_its_type(
    settings: Settings, registry: BadRegistry
) -> None:
    content = b'{"schemaVersion": 2, "mediaType": "application/x-odd"}'
    registry.add_manifest("x", content, "application/x-odd")
    await refused(settings, registry, UnsupportedMediaType, "application/x-odd")


async def test_a_web_page_is_not_taken_for_a_manifest(settings: Settings, registry: BadRegistry) -> None:
    registry.add_manifest("x", b"<html>welcome</html>", "text/html")
    await refused(settings, registry, Corrupt, f"image {registry.host}/x:latest cannot be read")


async def test_a_manifest_without_an_end_is_cut_off(settings: Settings, registry: BadRegistry) -> None:
    def serve(exchange: Exchange) -> None:
        exchange.begin(200, {"Content-Type": types.OCI_MANIFEST, "Connection": "close"})
        while not registry.released.is_set():
            exchange.write(b" " * 65536)

    registry.routes["/v2/x/manifests/latest"] = serve
    await refused(settings, registry, IntegrityError, "has more than 4194304 bytes")


async def test_a_manifest_that_differs_from_the_digest_in_the_reference_is_refused(
    settings: Settings, registry: BadRegistry
) -> None:
    manifest = encode_manifest(registry.add_image("x"))
    pinned = Digest.of(b"something else")
    registry.routes[f"/v2/x/manifests/{pinned}"] = document(manifest, types.OCI_MANIFEST)
    with pytest.raises(DigestMismatch, match=f"has the digest {Digest.of(manifest)}, not {pinned}"):
        await Images(settings).pull(f"{registry.host}/x@{pinned}")
    assert kept(settings) == []


async def test_a_config_for_another_platform_stops_the_pull_before_the_layers(
    settings: Settings, registry: BadRegistry
) -> None:
    registry.add_image("x")
    with pytest.raises(PlatformNotFound, match="no image for linux/s390x: it exists for"):
        await Images(settings).pull(f"{registry.host}/x", platform="linux/s390x")
    assert registry.asked_for(registry.blob_path("x")) == []


# --- redirects --------------------------------------------------------------------------------------------


async def test_a_redirect_leads_to_another_host_without_our_login(
    settings: Settings, registry: BadRegistry
) -> None:
    def login_first(route: Any) -> Any:
        def serve(exchange: Exchange) -> None:
            if exchange.seen.authorization:
                route(exchange)
            else:
                exchange.send(401, {"WWW-Authenticate": 'Basic realm="x"'})

        return serve

    auth = Path(settings.auth_files[-1])
    auth.write_text(json.dumps({registry.host: {"auth": "dTpw"}}))
    with bad_registry() as storage:
        registry.add_image("x")
        storage.routes["/object"] = blob(LAYER)
        elsewhere = {"Location": f"http://{storage.host}/object?signed=%2F"}
        registry.routes[registry.blob_path("x")] = lambda exchange: exchange.send(307, elsewhere)
        registry.routes = {path: login_first(route) for path, route in registry.routes.items()}
        await pull(settings, registry)
    assert all(seen.authorization == "Basic dTpw" for seen in registry.asked_for(registry.blob_path("x")))
    (seen,) = storage.asked_for("/object")
    assert (seen.authorization, seen.query) == ("", "signed=%2F")


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("/v2/x/manifests/latest", "redirects more than 5 times"),
        ("file:///etc/passwd", "which is no HTTP"),
        ("", "redirects to nowhere"),
    ],
)
async def test_a_bad_redirect_is_not_followed(
    settings: Settings, registry: BadRegistry, location: str, words: str
) -> None:
    registry.routes["/v2/x/manifests/latest"] = lambda exchange: exchange.send(302, {"Location": location})
    await refused(settings, registry, RegistryError, words)
    assert len(registry.seen) < 10
