"""Credentials: the files of registry logins, their modes, and the helpers that they name."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any

import msgspec

from firkin.faults import images
from firkin.faults.fault import Finding
from firkin.host import reading
from firkin.host.asker import Asker


class File(msgspec.Struct, frozen=True):
    """`open` when others than its owner may read it; `helpers` are programs that are missing."""

    path: str
    problem: str = ""
    open: bool = False
    helpers: tuple[str, ...] = ()


class Facts(msgspec.Struct, frozen=True):
    files: tuple[File, ...] = ()


def gather(asker: Asker) -> Facts:
    return Facts(tuple(_file(asker, path) for path in asker.settings.auth_files if os.path.isfile(path)))


def _file(asker: Asker, path: str) -> File:
    content = reading.content(path)
    if content is None:
        return File(path, "it may not be read")
    others = bool(os.stat(path).st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    try:
        document = msgspec.json.decode(content, type=dict[str, Any]) if content.strip() else {}
    except (msgspec.MsgspecError, RecursionError) as error:
        return File(path, str(error), others)
    helpers = {f"docker-credential-{name}" for name in _helpers(document)}
    missing = tuple(sorted(name for name in helpers if "/" in name or not asker.program(name)))
    return File(path, "", others and bool(document.get("auths")), missing)


def _helpers(document: dict[str, Any]) -> Iterator[str]:
    hosts = document.get("credHelpers")
    for each in (document.get("credsStore"), *(hosts.values() if isinstance(hosts, dict) else ())):
        if isinstance(each, str) and each:
            yield each


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    for file in facts.files:
        if file.problem:
            yield images.CREDENTIALS_MALFORMED.found(
                f"cannot read {file.path}: {file.problem}", path=file.path
            )
        if file.open:
            yield images.CREDENTIALS_OPEN.found(f"others may read the logins in {file.path}", path=file.path)
        for program in file.helpers[:1]:
            what = f"{file.path} asks {program} for logins, which is not installed"
            yield images.CREDENTIALS_HELPER.found(what, path=file.path, program=program)
