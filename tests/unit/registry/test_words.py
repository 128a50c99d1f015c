"""What registries say of themselves: where they are, what they ask for, how long to wait."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from firkin.errors import AuthenticationFailed, ImageNotFound, RegistryError
from firkin.registry.auth import Challenge
from firkin.registry.endpoint import Endpoint
from firkin.registry.refusal import refusal, retry_after_s


@pytest.mark.parametrize(
    ("registry", "insecure"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("registry.lan:5000", True),
        ("other.lan:80", True),
        ("registry.lan", False),
        ("registry.lan:5001", False),
        ("10.0.0.1:5000", False),
        ("localhost.evil.com", False),
        ("127.0.0.1.evil.com", False),
        ("docker.io", False),
    ],
)
def test_only_loopback_and_marked_registries_may_do_without_tls(registry: str, insecure: bool) -> None:
    assert Endpoint.of(registry, ("registry.lan:5000", "OTHER.lan")).insecure is insecure


def test_docker_hub_is_reached_at_its_api() -> None:
    assert Endpoint.of("docker.io", ()).host == "registry-1.docker.io"


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        (["Basic realm=x"], Challenge("basic", {"realm": "x"})),
        (
            ['Bearer realm="https://auth.x/token",service="a b",scope="repository:a/b:pull,push"'],
            Challenge(
                "bearer",
                {"realm": "https://auth.x/token", "service": "a b", "scope": "repository:a/b:pull,push"},
            ),
        ),
        (['bearer Realm="a\\"b"'], Challenge("bearer", {"realm": 'a"b'})),
        (["Basic realm=x", 'Bearer realm="y"'], Challenge("bearer", {"realm": "y"})),
        (["Negotiate", "Digest nonce=1"], None),
        ([], None),
    ],
)
def test_the_challenge_that_can_be_answered_is_chosen(
    headers: list[str], challenge: Challenge | None
) -> None:
    assert Challenge.parse(headers) == challenge


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "header", ["Bearer realm=" + '"' + "x" * 200_000, "Bearer " + "a=" * 100_000, "Bearer" + " " * 200_000]
)
def test_a_challenge_of_any_form_is_read_in_no_time(header: str) -> None:
    assert Challenge.parse([header]) is not None or header.strip() == "Bearer"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("", None), ("soon", None), ("-1", None), ("9" * 400, 999999999), ("٣", None)],
)
def test_a_retry_after_is_seconds_or_nothing(value: str, seconds: float | None) -> None:
    assert retry_after_s({"Retry-After": value}) == seconds


def test_a_retry_after_may_be_a_date() -> None:
    import time

    soon = retry_after_s({"Retry-After": formatdate(time.time() + 50, usegmt=True)})
    assert soon is not None
    assert 40 < soon <= 50
    assert retry_after_s({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, ImageNotFound), (401, AuthenticationFailed), (403, AuthenticationFailed), (429, RegistryError)],
)
def test_a_refusal_says_what_the_registry_says(status: int, error: type[Exception]) -> None:
    body = b'{"errors": [{"code": "X", "message": "go \\u001b[31maway"}, {"code": "Y", "detail": {"a": 1}}]}'
    got = refusal(status, body, {}, "x.io", "image x.io/y")
    assert isinstance(got, error)
    assert str(got).endswith("(go ?[31maway; Y)")
    assert got.hint


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 50_000, b'{"errors": 1}'])
def test_a_refusal_survives_any_body(body: bytes) -> None:
    assert str(refusal(500, body, {}, "x.io", "image y")) == "x.io answered status 500 for image y"
