"""Who we are at a registry, from the files that docker and podman write, and from credential helpers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from firkin.errors import AuthenticationFailed, UsageError
from firkin.registry import credentials
from firkin.registry.credentials import Credentials, find_credentials


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


@pytest.fixture
def auth_file(tmp_path: Path) -> Path:
    return tmp_path / "auth.json"


async def found(
    file: Path, content: Any, registry: str = "quay.io", repository: str = "a/b"
) -> Credentials | None:
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return await find_credentials([str(file)], registry, repository)


async def test_the_most_specific_entry_wins(auth_file: Path) -> None:
    auths = {"quay.io": auth("host:1"), "quay.io/a": auth("space:2"), "quay.io/a/b": auth("repository:3")}
    content = {"auths": auths}
    assert await found(auth_file, content) == Credentials("repository", "3")
    assert await found(auth_file, content, repository="a/c") == Credentials("space", "2")
    assert await found(auth_file, content, repository="x/b") == Credentials("host", "1")
    assert await found(auth_file, content, repository="ab") == Credentials("host", "1")
    assert await found(auth_file, content, registry="ghcr.io") is None


@pytest.mark.parametrize(
    "key", ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "https://registry-1.docker.io/v2/"]
)
async def test_docker_hub_is_known_by_all_its_names(auth_file: Path, key: str) -> None:
    assert await found(auth_file, {"auths": {key: auth("me:pw")}}, "docker.io", "library/x") == Credentials(
        "me", "pw"
    )


async def test_a_password_may_hold_colons_and_a_token_needs_no_user(auth_file: Path) -> None:
    assert await found(auth_file, {"auths": {"quay.io": auth("me:a:b:c")}}) == Credentials("me", "a:b:c")
    token = await found(auth_file, {"auths": {"quay.io": {"identitytoken": "tok"}}})
    assert token == Credentials(identity_token="tok")
    assert "tok" not in repr(token)


async def test_the_oldest_format_is_the_map_itself(tmp_path: Path) -> None:
    assert await found(tmp_path / ".dockercfg", {"quay.io": auth("me:pw")}) == Credentials("me", "pw")


async def test_the_first_file_that_knows_the_registry_wins(tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("missing", "first", "second", "third")]
    for name, content in zip(
        names[1:], ({"auths": {"x": auth("x:x")}}, {"auths": {"quay.io": auth("2:2")}}, "{"), strict=True
    ):
        name.write_text(content if isinstance(content, str) else json.dumps(content))
    assert await find_credentials(map(str, names), "quay.io", "a") == Credentials("2", "2")


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"auths": {"quay.io": {"auth": "%%%"}}}', '{"auths": {"quay.io": {"auth": "YQ=="}}}'],
)
async def test_a_file_that_cannot_be_read_is_named(auth_file: Path, content: str) -> None:
    with pytest.raises(UsageError, match=str(auth_file)):
        await found(auth_file, content)


def helper(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = directory / "docker-credential-test"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


ANSWER = """read server; printf '{"ServerURL": "", "Username": "me", "Secret": "%s"}' "$server" """


@pytest.mark.parametrize(
    "content", [{"credsStore": "test", "auths": {"quay.io": {}}}, {"credHelpers": {"quay.io": "test"}}]
)
async def test_a_helper_is_asked_for_the_registry(
    auth_file: Path, content: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(auth_file.parent, ANSWER, monkeypatch)
    assert await found(auth_file, content) == Credentials("me", "quay.io")


async def test_a_helper_knows_docker_hub_by_its_old_url(
    auth_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(auth_file.parent, ANSWER, monkeypatch)
    got = await found(auth_file, {"credsStore": "test"}, "docker.io", "library/x")
    assert got == Credentials("me", "https://index.docker.io/v1/")


async def test_a_helper_may_give_a_token_or_know_nothing(
    auth_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(auth_file.parent, """echo '{"Username": "<token>", "Secret": "tok"}'""", monkeypatch)
    assert await found(auth_file, {"credsStore": "test"}) == Credentials(identity_token="tok")
    helper(auth_file.parent, "echo credentials not found in native keychain; exit 1", monkeypatch)
    assert await found(auth_file, {"credsStore": "test"}) is None


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo the keyring is locked; exit 1", "failed for quay.io: the keyring is locked"),
        ("echo nonsense", "gave no credentials"),
        ("exec sleep 60", "did not answer within 0.3 s"),
        ("exec yes", "failed for quay.io: y"),
    ],
)
async def test_a_helper_that_fails_is_named(
    auth_file: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    monkeypatch.setattr(credentials, "HELPER_DEADLINE_S", 0.3)
    helper(auth_file.parent, script, monkeypatch)
    with pytest.raises(AuthenticationFailed, match=f"docker-credential-test .*({words})"):
        await found(auth_file, {"credsStore": "test"})


@pytest.mark.parametrize(
    ("name", "error"), [("nowhere-to-be-found", AuthenticationFailed), ("../evil", UsageError)]
)
async def test_a_helper_that_is_missing_or_no_name_is_named(
    auth_file: Path, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match=name):
        await found(auth_file, {"credsStore": name})
