"""The token dance with registries that want a login, and with those that misuse it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from firkin.engine.images import Images
from firkin.errors import AuthenticationFailed, RegistryError
from firkin.settings import Settings
from tests.support.bad_registry import BadRegistry, Exchange, Route, bad_registry

BASIC = "Basic " + base64.b64encode(b"me:secret").decode()


@pytest.fixture
def registry() -> Iterator[BadRegistry]:
    """An image that only the token `good` opens; tokens come from /token for anybody."""
    with bad_registry() as registry:
        registry.add_image("a/b")
        want_token(registry, f'realm="http://{registry.host}/token",service="test"')
        registry.routes["/token"] = lambda exchange: exchange.send(
            200, {}, b'{"token": "good", "expires_in": 300}'
        )
        yield registry


def want_token(registry: BadRegistry, parameters: str) -> None:
    def guarded(route: Route) -> Route:
        def serve(exchange: Exchange) -> None:
            if exchange.seen.authorization == "Bearer good":
                route(exchange)
            else:
                exchange.send(401, {"WWW-Authenticate": f"Bearer {parameters}"})

        return serve

    guarded_routes = {path: guarded(route) for path, route in registry.routes.items()}
    registry.routes = {path: route for path, route in guarded_routes.items() if path.startswith("/v2/")}


def log_in(settings: Settings, registry: BadRegistry, **entry: str) -> None:
    path = Path(settings.auth_files[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"auths": {registry.host: entry or {"username": "me", "password": "secret"}}}))


async def pull(settings: Settings, registry: BadRegistry) -> None:
    await Images(settings).pull(f"{registry.host}/a/b")


async def test_one_anonymous_token_serves_a_whole_pull(settings: Settings, registry: BadRegistry) -> None:
    await pull(settings, registry)
    (asked,) = registry.asked_for("/token")
    assert parse_qs(asked.query) == {"service": ["test"], "scope": ["repository:a/b:pull"]}
    assert asked.authorization == ""


async def test_the_password_goes_to_the_token_server_alone(settings: Settings, registry: BadRegistry) -> None:
    log_in(settings, registry)
    await pull(settings, registry)
    assert {seen.path for seen in registry.seen if seen.authorization == BASIC} == {"/token"}


async def test_an_identity_token_is_exchanged_by_a_form(settings: Settings, registry: BadRegistry) -> None:
    log_in(settings, registry, identitytoken="refresh-me")
    await pull(settings, registry)
    (asked,) = registry.asked_for("/token")
    form = parse_qs(asked.body.decode())
    assert (asked.method, form["grant_type"], form["refresh_token"]) == (
        "POST",
        ["refresh_token"],
        ["refresh-me"],
    )


async def test_a_token_that_ran_out_is_replaced(settings: Settings, registry: BadRegistry) -> None:
    manifest = registry.routes["/v2/a/b/manifests/latest"]

    def expire(exchange: Exchange) -> None:
        manifest(exchange)
        if exchange.seen.authorization:
            want_fresh(registry)

    registry.routes["/v2/a/b/manifests/latest"] = expire
    await pull(settings, registry)
    assert len(registry.asked_for("/token")) == 2


def want_fresh(registry: BadRegistry) -> None:
    """From now on `good` is no longer enough for the blobs."""
    registry.routes["/token"] = lambda exchange: exchange.send(200, {}, b'{"access_token": "fresh"}')
    for path, route in list(registry.routes.items()):
        if "/blobs/" in path:
            registry.routes[path] = _fresh_only(route, registry.host)


def _fresh_only(route: Route, host: str) -> Route:
    def serve(exchange: Exchange) -> None:
        if exchange.seen.authorization != "Bearer fresh":
            exchange.send(401, {"WWW-Authenticate": f'Bearer realm="http://{host}/token"'})
            return
        headers = exchange.seen.headers
        object.__setattr__(exchange.seen, "headers", {**headers, "Authorization": "Bearer good"})
        route(exchange)

    return serve


async def test_a_login_that_is_refused_is_told(settings: Settings, registry: BadRegistry) -> None:
    log_in(settings, registry)
    registry.routes["/token"] = lambda exchange: exchange.send(401)
    with pytest.raises(AuthenticationFailed, match=f"{registry.host} refuses this login, for a/b") as caught:
        await pull(settings, registry)
    assert "podman login" in caught.value.hint
    assert "secret" not in str(caught.value)


async def test_a_token_that_opens_nothing_is_tried_once(settings: Settings, registry: BadRegistry) -> None:
    registry.routes["/token"] = lambda exchange: exchange.send(200, {}, b'{"token": "useless"}')
    with pytest.raises(AuthenticationFailed, match="does not let us read image"):
        await pull(settings, registry)
    assert len(registry.asked_for("/token")) == 1


@pytest.mark.parametrize(
    "answer", [b"{}", b"[]", b"", b'{"token": "a\\nb"}', b'{"token": "a b"}', b'{"token": 7}', b"[" * 100_000]
)
async def test_a_token_server_that_gives_no_token_is_told(
    settings: Settings, registry: BadRegistry, answer: bytes
) -> None:
    registry.routes["/token"] = lambda exchange: exchange.send(200, {}, answer)
    with pytest.raises(RegistryError, match="gave no token"):
        await pull(settings, registry)


@pytest.mark.parametrize("realm", ["", "token", "ftp://x/token", "http://", "http://[bad"])
async def test_a_password_is_sent_to_no_odd_place(
    settings: Settings, registry: BadRegistry, realm: str
) -> None:
    log_in(settings, registry)
    want_token(registry, f'realm="{realm}"')
    with pytest.raises(AuthenticationFailed, match="where no password may go"):
        await pull(settings, registry)


async def test_basic_login_wants_a_password(settings: Settings, registry: BadRegistry) -> None:
    registry.routes = dict.fromkeys(
        registry.routes, lambda exchange: exchange.send(401, {"WWW-Authenticate": 'Basic realm="x"'})
    )
    with pytest.raises(AuthenticationFailed, match="wants a user and a password, for a/b"):
        await pull(settings, registry)
    log_in(settings, registry)
    with pytest.raises(AuthenticationFailed, match="does not let us read image"):
        await pull(settings, registry)
