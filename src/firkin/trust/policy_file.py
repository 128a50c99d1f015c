"""PolicyFile: where the policy is, and its text as a Policy. Read as strictly as containers/image does: a
key that is unknown, missing or there twice rejects the whole file.
"""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import Any

from firkin.errors import Untrusted, UsageError
from firkin.events import event
from firkin.settings import Settings
from firkin.trust.policy import Policy, Requirement, Requirements
from firkin.trust.strict_json import NotStrict, convert, parse

MAX_POLICY_BYTES = 4 << 20
SYSTEM_PATH = Path("/etc/containers/policy.json")
_PATHS = ("dir", "oci", "oci-archive")
_WITHOUT_SCOPES = ("docker-archive", "tarball")


def load_policy(settings: Settings, system_path: Path = SYSTEM_PATH) -> Policy:
    """The policy that the user set, else the user's own, else the system's; one that accepts anything where
    there is none, told as `policy.missing`.

    Raises UsageError where the one that counts cannot be read or parsed, Untrusted where there is none and
    `require_policy` is set.
    """
    if settings.policy:
        return _read(Path(settings.policy))
    candidates = (Path(settings.home_dir) / ".config/containers/policy.json", system_path)
    for path in candidates:
        if os.path.lexists(path):  # a link to nowhere is a policy that cannot be read
            return _read(path)
    if settings.require_policy:
        places = " nor ".join(map(str, candidates))
        raise Untrusted(
            f"a policy is required (require_policy), and there is neither {places}",
            hint="write one, or name it with FIRKIN_POLICY",
        )
    event("policy.missing", searched=[str(path) for path in candidates])
    return Policy()


def parse_policy(content: bytes, path: str) -> Policy:
    """The policy that `content` holds. Raises UsageError, which names `path`."""
    try:
        document = _object(parse(content, MAX_POLICY_BYTES), "the file", {"default", "transports"})
        if "default" not in document:
            raise NotStrict("default is missing")
        transports = _object(document.get("transports", {}), "transports")
        return Policy(
            _requirements(document["default"], "default"),
            {name: _scopes(name, scopes) for name, scopes in transports.items()},
            path,
        )
    except NotStrict as error:
        from firkin.faults.images import POLICY_MALFORMED

        hint = POLICY_MALFORMED.hint(path=path)
        raise UsageError(f"cannot use the policy {path}: {error}", hint=hint) from error


def _read(path: Path) -> Policy:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_POLICY_BYTES + 1)
    except OSError as error:
        hint = "mend its name, mode or owner: without it nothing is accepted"
        raise UsageError(f"cannot read the policy {path}: {error.strerror}", hint=hint) from error
    return parse_policy(content, str(path))


def _object(value: Any, what: str, known: set[str] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotStrict(f"{what} is not an object")
    for key in value:
        if known is not None and key not in known:
            raise NotStrict(f"{what} has the unknown key {key!r}")
    return value


def _scopes(transport: str, value: Any) -> dict[str, Requirements]:
    scopes = _object(value, f"transport {transport!r}")
    for scope in scopes:
        if scope and (trouble := _scope_trouble(transport, scope)):
            raise NotStrict(f"transport {transport!r} has the scope {scope!r}: {trouble}")
    return {
        scope: _requirements(value, f"scope {scope!r} of transport {transport!r}")
        for scope, value in scopes.items()
    }


def _scope_trouble(transport: str, scope: str) -> str:
    """What is wrong with a scope that could never count, or not mean what it seems to."""
    if transport in _WITHOUT_SCOPES:
        return 'this transport has only the scope ""'
    if transport in _PATHS:
        if not scope.startswith("/"):
            return "it is not an absolute path"
        if scope == "/":
            return 'write "" for all paths'
        clean = "/" + posixpath.normpath(scope).lstrip("/")
        return "" if clean == scope else f"write {clean!r}"
    host = scope.partition("/")[0]
    if transport == "docker" and host != host.lower():
        return "hosts are compared in lowercase: write it so"
    return ""


def _requirements(value: Any, what: str) -> Requirements:
    if not isinstance(value, list) or not value:
        raise NotStrict(f"{what} is not a list of at least one requirement")
    try:
        return tuple(convert(each, Requirement) for each in value)
    except NotStrict as error:
        raise NotStrict(f"{what}: {error}") from error
