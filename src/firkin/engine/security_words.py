"""Words for Docker's security options: no-new-privileges, seccomp=, apparmor=, label=, systempaths=."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from firkin.engine.lists import listed
from firkin.errors import UsageError
from firkin.process.policy import Seccomp

MAX_PROFILE_BYTES = 256 << 10
_LABEL = re.compile(r"[\x21-\x7e]{1,255}")
_DEFAULT_LABEL = {"user": "system_u", "role": "system_r", "type": "container_t", "level": "s0"}
SYSTEM_PATHS = "systempaths=unconfined"
"""Hide nothing of /proc and /sys: of a container, and of none of its processes alone."""


def security_of(options: Iterable[str]) -> dict[str, Any]:
    """What --security-opt says, by the names of the words that it stands for. Raises UsageError."""
    said: dict[str, Any] = {}
    label: dict[str, str] = {}
    for text in listed("security_opt", options):
        name, value = _security_pair(text)
        if name == "no-new-privileges":
            said["no_new_privs"] = _truth(text, value)
        elif name in ("seccomp", "apparmor") and value:
            said[name] = value
        elif name == "label" and value:
            label |= _label_part(value)
        elif text != SYSTEM_PATHS:
            raise UsageError(
                f"security_opt: {text!r} is unknown",
                hint=f"there are no-new-privileges, seccomp=, apparmor=, label= and {SYSTEM_PATHS}",
            )
    if "disable" in label:
        said["selinux"] = ""
    elif label:
        said["selinux"] = ":".join((_DEFAULT_LABEL | label).values())
    return said


def _security_pair(text: str) -> tuple[str, str]:
    """Docker takes `:` for `=`, too."""
    found = re.fullmatch(r"([a-z-]+)(?:[=:](.*))?", text, re.DOTALL)
    return (found[1], found[2] or "") if found else (text, "")


def _truth(text: str, value: str) -> bool:
    if value not in ("", "true", "false"):
        raise UsageError(f"security_opt: {text!r} is neither true nor false", hint="write no-new-privileges")
    return value != "false"


def _label_part(value: str) -> dict[str, str]:
    if value == "disable":
        return {"disable": ""}
    part, colon, text = value.partition(":")
    if part not in _DEFAULT_LABEL or not colon or not text:
        raise UsageError(
            f"security_opt: label={value} is no label",
            hint="write label=user:, role:, type: or level: and its value, or label=disable",
        )
    return {part: text}


def label_of(field: str, said: str | None) -> str | None:
    """`unconfined` is what a process without a label is."""
    if said in (None, "", "unconfined"):
        return None if said is None else ""
    if not _LABEL.fullmatch(said or ""):
        raise UsageError(f"{field}: {said!r} is no label", hint="up to 255 letters without spaces")
    return said


def seccomp_of(said: str | Path | Mapping[str, Any] | None) -> Seccomp | None:
    if said is None:
        return None
    if said in ("default", "unconfined"):
        return Seccomp(kind="default" if said == "default" else "unconfined")
    from firkin.oci.seccomp import parse

    text = msgspec.json.encode(said).decode() if isinstance(said, Mapping) else _profile(Path(said))
    parse(text)
    return Seccomp(kind="profile", profile=text)


def _profile(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_PROFILE_BYTES + 1)
        text = content.decode()
    except OSError as error:
        raise UsageError(
            f"seccomp: cannot read profile {path}: {error.strerror}", hint="check its path and mode"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"seccomp: profile {path} is not UTF-8 text", hint="it is a file of JSON") from error
    if len(content) > MAX_PROFILE_BYTES:
        raise UsageError(f"seccomp: profile {path} is larger than 256 KiB", hint="give a smaller one")
    return text
