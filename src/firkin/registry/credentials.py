"""Credentials: who the user is at a registry, from the files that docker and podman write.

containers-auth.json(5) and Docker's config.json: the most specific key wins, `host/namespace/repository`
before `host`; a credential helper named for the host before what is written for the host; `credsStore`
last. The first file that knows the registry wins.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec

from firkin.errors import AuthenticationFailed, UsageError

HELPER_DEADLINE_S = 20.0
_MAX_FILE_BYTES = 4 << 20
_MAX_ANSWER_BYTES = 1 << 20
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_DOCKER_HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")
_DOCKER_HUB_SERVER = "https://index.docker.io/v1/"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password, or an identity token that an OAuth2 server takes instead. Never printed."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


class _Entry(msgspec.Struct, frozen=True, rename="lower"):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _AuthFile(msgspec.Struct, frozen=True, rename={"helpers": "credHelpers", "store": "credsStore"}):
    auths: dict[str, _Entry] = {}
    helpers: dict[str, str] = {}
    store: str = ""


async def find_credentials(auth_files: Iterable[str], registry: str, repository: str) -> Credentials | None:
    """The user's credentials for `registry`/`repository`; None where no file has any.

    Raises UsageError where a file cannot be read, AuthenticationFailed where a credential helper fails.
    """
    for name in auth_files:
        file = _load(Path(name))
        if file is not None and (found := await _lookup(file, registry, repository, name)) is not None:
            return found
    return None


async def _lookup(file: _AuthFile, registry: str, repository: str, name: str) -> Credentials | None:
    entries = {_key(key): entry for key, entry in reversed(file.auths.items())}
    *specific, host = _scopes(registry, repository)
    for key in specific:
        if found := _decode(entries.get(key), name, key):
            return found
    helpers = {_key(key): helper for key, helper in file.helpers.items()}
    if host in helpers:
        return await _ask_helper(helpers[host], registry)
    return _decode(entries.get(host), name, host) or (
        await _ask_helper(file.store, registry) if file.store else None
    )


def _scopes(registry: str, repository: str) -> Iterator[str]:
    """`host/a/b`, `host/a`, `host`."""
    name = f"{registry}/{repository}"
    while name:
        yield name
        name = name.rpartition("/")[0]


def _key(text: str) -> str:
    """An auth file's key as `host[/path]`: without scheme, without the path of Docker's old v1 API."""
    text = text.partition("://")[2] or text
    text = re.sub(r"/v[12]/?$", "", text).rstrip("/")
    host, slash, path = text.partition("/")
    return ("docker.io" if host in _DOCKER_HUB_NAMES else host) + slash + path


def _load(path: Path) -> _AuthFile | None:
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_FILE_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", hint="mend its mode, or remove it"
        ) from error
    try:
        if path.name == ".dockercfg":  # the oldest format is the map itself
            return _AuthFile(auths=msgspec.json.decode(content, type=dict[str, _Entry]))
        return msgspec.json.decode(content, type=_AuthFile) if content.strip() else _AuthFile()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        from firkin.faults.images import CREDENTIALS_MALFORMED

        hint = CREDENTIALS_MALFORMED.hint(path=path)
        raise UsageError(f"cannot parse {path}: {error}", hint=hint) from error


def _decode(entry: _Entry | None, file: str, key: str) -> Credentials | None:
    if entry is None:
        return None
    username, password = entry.username, entry.password
    if entry.auth:
        try:
            username, colon, password = base64.b64decode(entry.auth, validate=True).decode().partition(":")
        except ValueError as error:
            raise UsageError(f"{file}: the auth of {key} is not base64", hint="log in again") from error
        if not colon:
            raise UsageError(f"{file}: the auth of {key} has no colon", hint="log in again")
        password = password.rstrip("\0")
    if not (username or entry.identitytoken):
        return None
    return Credentials(username, password, entry.identitytoken)


class _Answer(msgspec.Struct, frozen=True, rename="pascal"):
    username: str
    secret: str


async def _ask_helper(helper: str, registry: str) -> Credentials | None:
    """What `docker-credential-<helper> get` knows of `registry`; None where it knows nothing."""
    if not _HELPER.fullmatch(helper):
        raise UsageError(
            f"{helper!r} is not the name of a credential helper", hint="mend it in your auth file"
        )
    program = f"docker-credential-{helper}"
    server = _DOCKER_HUB_SERVER if registry == "docker.io" else registry
    status, answer = await _run(program, server)
    if status != 0:
        if b"not found" in answer:
            return None
        said = answer[:200].decode(errors="replace").strip()
        raise AuthenticationFailed(
            f"{program} failed for {server}: {said or f'status {status}'}", hint="log in again"
        )
    try:
        found = msgspec.json.decode(answer, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise AuthenticationFailed(f"{program} gave no credentials: {error}", hint="log in again") from error
    if found.username == "<token>":
        return Credentials(identity_token=found.secret)
    return Credentials(found.username, found.secret)


async def _run(program: str, server: str) -> tuple[int, bytes]:
    """Exit status and output of `program get`, which reads `server` from its standard input.

    Both are files in memory, the output's of a size that cannot grow: a helper can neither block us nor
    fill the memory, nor can a child of its own that keeps them open.
    """
    with _memory_file(server.encode()) as question, _memory_file(bytes(_MAX_ANSWER_BYTES)) as answer:
        try:
            process = await asyncio.create_subprocess_exec(program, "get", stdin=question, stdout=answer)
        except OSError as error:
            from firkin.faults.images import CREDENTIALS_HELPER

            hint = f"install {program}, or remove it from your auth file; {CREDENTIALS_HELPER.more}"
            raise AuthenticationFailed(f"cannot run {program}: {error.strerror}", hint=hint) from error
        try:
            status = await asyncio.wait_for(process.wait(), HELPER_DEADLINE_S)
        except TimeoutError as error:
            message = f"{program} did not answer within {HELPER_DEADLINE_S:g} s"
            raise AuthenticationFailed(message, hint="it may wait for you to unlock its keys") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        answer.seek(0)
        return status, answer.read().rstrip(b"\0")


def _memory_file(content: bytes) -> BinaryIO:
    """A file that nobody else can name, at its start, which cannot become longer than `content`."""
    fd = os.memfd_create("firkin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.pwrite(fd, content, 0)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
    return os.fdopen(fd, "r+b")
