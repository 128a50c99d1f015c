"""Registries that break, lie and stall while they are pushed to: each is got over, or one clear error."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from firkin.engine.image_push import push
from firkin.engine.images import Images
from firkin.errors import (
    AuthenticationFailed,
    DigestMismatch,
    FirkinError,
    NotFound,
    RegistryError,
    Timeout,
)
from firkin.events import Event, subscribed
from firkin.oci.digest import Digest
from firkin.pytest.home import Home
from firkin.registry import push as registry_push
from firkin.registry import upload
from firkin.settings import Settings
from tests.support.bad_registry import LAYER, BadRegistry, Exchange, Route, bad_registry
from tests.support.uploads import Uploads, cut_after, forget, refuse

HALF = len(LAYER) // 2
KEEPS = 1 << 20


@pytest.fixture
def registry() -> Iterator[BadRegistry]:
    with bad_registry() as registry:
        yield registry


@pytest.fixture
def uploads(registry: BadRegistry) -> Uploads:
    return Uploads(registry)


@pytest.fixture
async def settings(home: Home, tmp_path: Path) -> Settings:
    """Of a home with the image mine:1, whose layer is LAYER; one blob at a time, so that troubles have an
    order.
    """
    settings = Settings.load(home.environ(), registry_timeout_s=2.0, parallel_layers=1)
    archive = tmp_path / "root.tar"
    archive.write_bytes(LAYER)
    await Images(settings).import_archive(archive, "mine:1")
    return settings


async def pushed(settings: Settings, registry: BadRegistry, uploads: Uploads) -> None:
    """Push, after which all of it is there."""
    await push(settings, Images(settings).store, "mine:1", f"{registry.host}/x")
    assert uploads.blobs[str(Digest.of(LAYER))] == LAYER
    (manifest,) = uploads.manifests.values()
    for blob in (json.loads(manifest)["config"], *json.loads(manifest)["layers"]):
        assert len(uploads.blobs[blob["digest"]]) == blob["size"]


async def refused(
    settings: Settings, registry: BadRegistry, uploads: Uploads, error: type[FirkinError], words: str
) -> FirkinError:
    """Push, which must fail so and say so, and leave the tag alone."""
    with pytest.raises(error) as caught:
        await push(settings, Images(settings).store, "mine:1", f"{registry.host}/x")
    assert words in str(caught.value)
    assert caught.value.hint
    assert uploads.manifests == {}
    return caught.value


def methods(registry: BadRegistry, under: str = "/v2/x/blobs/uploads/") -> list[str]:
    return [seen.method for seen in registry.seen if seen.path.startswith(under)]


async def test_an_honest_registry_gets_each_blob_in_one_piece(
    settings: Settings, registry: BadRegistry, uploads: Uploads
) -> None:
    await pushed(settings, registry, uploads)
    assert methods(registry) == ["POST", "PUT"] * 2
    assert uploads.bodies[0] == len(LAYER)
    assert registry.seen[-1].path == "/v2/x/manifests/latest"


# --- connections that break -------------------------------------------------------------------------------


async def test_a_push_that_was_cut_off_sends_only_the_rest(
    settings: Settings, registry: BadRegistry, uploads: Uploads
) -> None:
    uploads.troubles = [cut_after(HALF), cut_after(KEEPS)]
    await pushed(settings, registry, uploads)
    assert uploads.bodies[:3] == [HALF, KEEPS, len(LAYER) - HALF - KEEPS]
    ranges = [seen.headers["Content-Range"] for seen in registry.seen if seen.method == "PATCH"]
    assert ranges == [f"{HALF}-{len(LAYER) - 1}", f"{HALF + KEEPS}-{len(LAYER) - 1}"]


async def test_a_registry_that_forgot_the_upload_gets_it_anew(
    settings: Settings, registry: BadRegistry, uploads: Uploads
) -> None:
    uploads.troubles = [forget]
    await pushed(settings, registry, uploads)
    assert methods(registry)[:3] == ["POST", "PUT", "GET"]
    assert methods(registry).count("POST") == 3


async def test_a_registry_that_loses_every_connection_is_given_up(
    settings: Settings, registry: BadRegistry, uploads: Uploads
) -> None:
    uploads.troubles = [cut_after(0)] * 100
    error = await refused(
        settings, registry, uploads, RegistryError, f"cannot push blob {Digest.of(LAYER)} to x"
    )
    assert f"0 of {len(LAYER)} bytes arrived" in str(error)
    assert len(uploads.troubles) == 97


async def test_a_registry_that_is_too_busy_is_tried_again_when_it_says_so(
    settings: Settings, registry: BadRegistry, uploads: Uploads
) -> None:
    uploads.troubles = [refuse(503, {"Retry-After": "1"}), refuse(429)]
    waited: list[float] = []

    def watch(event: Event) -> None:
        if event.name == "registry.waiting":
            waited.append(event.fields["seconds"])

    with subscribed(watch):
        await pushed(settings, registry, uploads)
    assert waited == [1.0]


async def test_a_registry_that_stops_taking_bytes_is_not_waited_for(
    settings: Settings, registry: BadRegistry, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "_BARREN_TRIES", 0)
    big = Path(settings.home_dir) / "big.tar"
    big.write_bytes(LAYER * 8)  # more than the sockets' buffers hold
    await Images(settings).import_archive(big, "mine:1")

    def stall(uploads: Uploads, exchange: Exchange, path: str) -> None:
        registry.released.wait()

    uploads.troubles = [stall]
    await refused(settings, registry, uploads, Timeout, "for 2 s (registry_timeout_s)")


async def test_a_registry_that_says_more_came_than_there_is_gets_it_anew(
    settings: Settings, registry: BadRegistry, uploads: Uploads
) -> None:
    def lie(uploads: Uploads, exchange: Exchange, path: str) -> None:
        uploads.open[path] += LAYER * 2
        exchange.cut()

    uploads.troubles = [lie]
    await pushed(settings, registry, uploads)


async def test_a_blob_that_the_registry_lost_before_its_manifest_came_is_sent_again(
    settings: Settings, registry: BadRegistry, uploads: Uploads
) -> None:
    lost: list[str] = []

    def forgetful(exchange: Exchange) -> None:
        if lost:
            return uploads.take_manifest(exchange)
        exchange.receive()
        lost.append(str(Digest.of(LAYER)))
        del uploads.blobs[lost[0]]
        exchange.send(400, {}, b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown"}]}')

    registry.routes["/v2/x/manifests/latest"] = forgetful
    await pushed(settings, registry, uploads)
    assert lost


async def test_a_registry_that_never_knows_what_it_was_sent_is_given_up(
    settings: Settings, registry: BadRegistry, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_push, "RETRY_PAUSES_S", (0.0, 0.0))
    said = b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown"}]}'

    def ignorant(exchange: Exchange) -> None:
        exchange.receive()
        exchange.send(400, {}, said)

    registry.routes["/v2/x/manifests/latest"] = ignorant
    await refused(settings, registry, uploads, RegistryError, "does not know a blob of manifest latest to x")
    assert methods(registry, "/v2/x/manifests/latest").count("PUT") == 3


# --- bodies that are too long -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [405, 411, 413, 415, 501])
async def test_a_registry_that_takes_no_long_body_gets_pieces(
    settings: Settings,
    registry: BadRegistry,
    uploads: Uploads,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    monkeypatch.setattr(upload, "PIECE_BYTES", 3 << 20)
    uploads.troubles = [refuse(status)]
    await pushed(settings, registry, uploads)
    assert uploads.bodies[:2] == [3 << 20, len(LAYER) - (3 << 20)]


# --- lies -------------------------------------------------------------------------------------------------


async def test_a_registry_that_got_another_blob_is_not_believed(
    settings: Settings, registry: BadRegistry, uploads: Uploads
) -> None:
    other = str(Digest.of(b"other"))

    def mistake(uploads: Uploads, exchange: Exchange, path: str) -> None:
        exchange.receive()
        exchange.send(201, {"Docker-Content-Digest": other})

    uploads.troubles = [mistake]
    await refused(
        settings, registry, uploads, DigestMismatch, f"says that it got {other}, not {Digest.of(LAYER)}"
    )


async def test_a_registry_that_stored_another_manifest_is_not_believed(
    settings: Settings, registry: BadRegistry, uploads: Uploads
) -> None:
    other = str(Digest.of(b"other"))

    def mistake(exchange: Exchange) -> None:
        exchange.receive()
        exchange.send(201, {"Docker-Content-Digest": other})

    registry.routes["/v2/x/manifests/latest"] = mistake
    await refused(settings, registry, uploads, DigestMismatch, f"says that it got {other}")


async def test_a_registry_that_refuses_the_right_bytes_is_quoted(
    settings: Settings, registry: BadRegistry, uploads: Uploads
) -> None:
    def refuse(uploads: Uploads, exchange: Exchange, path: str) -> None:
        exchange.receive()
        uploads.end(exchange, b"something else")

    uploads.troubles = [refuse]
    await refused(settings, registry, uploads, RegistryError, "status 400 for blob")


# --- who may ----------------------------------------------------------------------------------------------


async def test_a_token_for_pushing_is_asked_for_once_and_with_the_sources(
    settings: Settings, registry: BadRegistry, uploads: Uploads
) -> None:
    def give(exchange: Exchange) -> None:
        exchange.send(200, {}, b'{"token": "secret", "expires_in": 300}')

    challenge = f'Bearer realm="http://{registry.host}/token",service="s",scope="repository:x:pull"'
    registry.routes["/token"] = give
    for path in ("/v2/x/blobs/uploads/", "/v2/x/manifests/latest"):
        registry.routes[path] = _with_login("Bearer secret", challenge, registry.routes[path])
    Images(settings).tag("mine:1", f"{registry.host}/source")
    await pushed(settings, registry, uploads)
    (asked,) = registry.asked_for("/token")
    assert parse_qs(asked.query) == {
        "service": ["s"],
        "scope": ["repository:x:pull,push", "repository:source:pull"],
    }


async def test_a_source_that_we_may_not_see_is_not_mounted_but_sent(
    settings: Settings, registry: BadRegistry, uploads: Uploads
) -> None:
    def begin(exchange: Exchange) -> None:
        if "mount=" in exchange.seen.query:
            exchange.send(403)
        else:
            uploads.begin(exchange)

    registry.routes["/v2/x/blobs/uploads/"] = begin
    Images(settings).tag("mine:1", f"{registry.host}/source")
    await pushed(settings, registry, uploads)


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (403, AuthenticationFailed, "does not let us push blob"),
        (404, NotFound, "has no place for blob"),
        (405, RegistryError, "does not let anybody push blob"),
    ],
)
async def test_a_registry_that_refuses_pushes_is_quoted(
    settings: Settings,
    registry: BadRegistry,
    uploads: Uploads,
    status: int,
    error: type[FirkinError],
    words: str,
) -> None:
    said = b'{"errors": [{"code": "DENIED", "message": "not here"}]}'
    registry.routes["/v2/x/blobs/uploads/"] = lambda exchange: exchange.send(status, {}, said)
    assert "(not here)" in str(await refused(settings, registry, uploads, error, words))


async def test_an_upload_that_leads_to_another_host_does_not_take_our_login_there(
    settings: Settings, registry: BadRegistry, uploads: Uploads
) -> None:
    login = "Basic " + base64.b64encode(b"u:p").decode()
    Path(settings.auth_files[-1]).write_text(json.dumps({registry.host: {"auth": "dTpw"}}))
    for path in ("/v2/x/blobs/uploads/", "/v2/x/manifests/latest"):
        registry.routes[path] = _with_login(login, 'Basic realm="x"', registry.routes[path])
    with bad_registry() as storage:
        elsewhere = Uploads(storage)
        elsewhere.location_prefix = f"http://{storage.host}"

        def begin(exchange: Exchange) -> None:
            assert exchange.seen.authorization == login
            elsewhere.begin(exchange)

        registry.routes["/v2/x/blobs/uploads/"] = _with_login(login, 'Basic realm="x"', begin)
        await push(settings, Images(settings).store, "mine:1", f"{registry.host}/x")
        assert elsewhere.blobs[str(Digest.of(LAYER))] == LAYER
        assert {seen.authorization for seen in storage.seen} == {""}
    assert uploads.manifests.keys() == {"latest"}


def _with_login(login: str, challenge: str, route: Route) -> Route:
    lock = threading.Lock()

    def serve(exchange: Exchange) -> None:
        with lock:
            if exchange.seen.authorization != login:
                exchange.receive()
                exchange.send(401, {"WWW-Authenticate": challenge})
            else:
                route(exchange)

    return serve
