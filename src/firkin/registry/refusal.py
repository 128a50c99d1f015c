"""Refusals: what a registry means by a status that is not success (OCI distribution spec, "Error Codes")."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

from firkin.errors import AuthenticationFailed, FirkinError, ImageNotFound, NotFound, RegistryError

MAX_BODY_BYTES = 64 << 10
_UNKNOWN = ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN")

Deed = Literal["read", "push"]
"""What we asked a registry to let us do."""


class BlobUnknown(RegistryError):
    """A manifest names a blob that the registry says it has not: it may have lost it, or not see it yet."""


class _Error(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""


class _Body(msgspec.Struct, frozen=True):
    errors: list[_Error] = []


def refusal(
    status: int, body: bytes, headers: Mapping[str, str], host: str, what: str, *, deed: Deed = "read"
) -> FirkinError:
    """The error for a registry on `host` that answered a request to `deed` `what` with `status`."""
    errors = _errors(body)
    said = _said(errors)
    if deed == "push" and any(error.code in _UNKNOWN for error in errors):
        return BlobUnknown(
            f"{host} does not know a blob of {what}{said}", hint="push again, or ask its operator"
        )
    if status == 404 and deed == "push":
        hint = "check the name; some registries want a repository to be made before it is pushed to"
        return NotFound(f"{host} has no place for {what}{said}", hint=hint)
    if status == 404:
        return ImageNotFound(f"{host} has no {what}{said}", hint="check the name and the tag")
    if status in (401, 403):
        doubt = "it may not exist" if deed == "read" else "it may not be yours"
        hint = f"{doubt}, or need a login: podman login {host}"
        return AuthenticationFailed(f"{host} does not let us {deed} {what}{said}", hint=hint)
    if status == 405:
        return RegistryError(
            f"{host} does not let anybody {deed} {what}{said}", hint="it may be a mirror, which only serves"
        )
    if status == 429:
        wait_s = retry_after_s(headers)
        hint = (
            "log in for a higher limit, or try again later"
            if wait_s is None
            else f"try again in {wait_s:.0f} s"
        )
        return RegistryError(f"{host} says that we ask too often, for {what}{said}", hint=hint)
    return RegistryError(
        f"{host} answered status {status} for {what}{said}", hint="try again, or ask its operator"
    )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3); None without a readable one."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _errors(body: bytes) -> list[_Error]:
    """What the registry says itself, where that can be read."""
    try:
        return msgspec.json.decode(body, type=_Body).errors
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []


def _said(errors: list[_Error]) -> str:
    """Those words in brackets, printable and short; or nothing."""
    words = "; ".join(error.message or error.code for error in errors[:3])
    printable = "".join(char if char.isprintable() else "?" for char in words[:200])
    return f" ({printable})" if printable else ""
