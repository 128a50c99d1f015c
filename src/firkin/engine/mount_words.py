"""MountWords: what `--mount` says, with Docker's keys: type=bind,source=/src,target=/dst,readonly.

The rule: a key that is not known, or that would change nothing here, is an error that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from firkin.container.spec import Bind, Tmpfs
from firkin.container.storage import Storage
from firkin.engine.volumes import container_path, host_path, parse_tmpfs, parse_volume
from firkin.errors import UsageError
from firkin.units import parse_size
from firkin.volume.mount import Owners, VolumeMount
from firkin.volume.record import check_name

Mount = Bind | Tmpfs | VolumeMount

_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly", "chown": "U"}
_FLAGS = ("nosuid", "nodev", "noexec")
_COMMON = {"type", "target", "readonly", *_FLAGS}
_HINT = "write type=bind,source=/src,target=/dst,readonly, or type=volume, or type=tmpfs"


class Mounts(NamedTuple):
    """What is mounted in a container, by kind."""

    binds: tuple[Bind, ...]
    tmpfs: tuple[Tmpfs, ...]
    storage: Storage


def mounts(
    volumes: Iterable[str | Bind | VolumeMount],
    tmpfs: Iterable[str | Tmpfs],
    more: Iterable[str | Mount],
) -> Mounts:
    """What -v, --tmpfs and --mount ask for together. Raises UsageError."""
    found: list[Mount] = [parse_volume(each) if isinstance(each, str) else each for each in volumes]
    found += [parse_tmpfs(each) if isinstance(each, str) else each for each in tmpfs]
    found += [parse_mount(each) if isinstance(each, str) else each for each in more]
    return Mounts(
        tuple(each for each in found if isinstance(each, Bind)),
        tuple(each for each in found if isinstance(each, Tmpfs)),
        Storage(volumes=tuple(each for each in found if isinstance(each, VolumeMount))),
    )


def parse_mount(word: str) -> Mount:
    """The mount that `word` asks for. Raises UsageError."""
    fields = _fields(word)
    kind = fields.get("type", "volume")
    if kind not in _KINDS:
        raise _bad(word, f"type {kind!r} is not one of {', '.join(_KINDS)}")
    known, make = _KINDS[kind]
    for key in fields:
        if key not in known | _COMMON:
            raise _bad(word, f"{key!r} cannot be honoured for type={kind}")
    if "target" not in fields:
        raise _bad(word, "there is no target")
    return make(word, fields)


def _fields(word: str) -> dict[str, str]:
    import csv

    found: dict[str, str] = {}
    try:
        (row,) = csv.reader([word], strict=True)
    except (csv.Error, ValueError) as error:
        raise _bad(word, "it is not a line of values") from error
    for item in row:
        key, equals, value = item.partition("=")
        key = _ALIASES.get(key, key)
        if key in found:
            raise _bad(word, f"{key!r} is given twice")
        found[key] = value if equals else "true"
    return found


def _bind(word: str, fields: dict[str, str]) -> Bind:
    if not fields.get("source"):
        raise _bad(word, "there is no source")
    if fields.get("bind-propagation", "rprivate") not in ("rprivate", "private"):
        raise _bad(word, "a mount that is made on the host later never appears in a machine")
    return Bind(
        source=host_path(fields["source"]),
        target=container_path("mount", fields["target"]),
        readonly=_flag(word, fields, "readonly"),
        options=_options(word, fields),
        owners=_owners(word, fields),
    )


def _volume(word: str, fields: dict[str, str]) -> VolumeMount:
    return VolumeMount(
        name=check_name(fields["source"]) if fields.get("source") else "",
        target=container_path("mount", fields["target"]),
        readonly=_flag(word, fields, "readonly"),
        options=_options(word, fields),
        owners=_owners(word, fields),
        copy=not _flag(word, fields, "volume-nocopy"),
    )


def _tmpfs(word: str, fields: dict[str, str]) -> Tmpfs:
    options = ["nosuid", "nodev", "noexec"]
    if _flag(word, fields, "readonly"):
        options.append("ro")
    if size := fields.get("tmpfs-size", ""):
        try:
            options.append(f"size={parse_size(size)}")
        except UsageError as error:
            raise _bad(word, f"tmpfs-size: {error}") from error
    mode = fields.get("tmpfs-mode", "1777")
    if not mode or set(mode) - set("01234567") or int(mode, 8) > 0o7777:
        raise _bad(word, f"tmpfs-mode {mode!r} is not an octal mode")
    return Tmpfs(target=container_path("mount", fields["target"]), options=(*options, f"mode={mode}"))


_KINDS: dict[str, tuple[set[str], Callable[[str, dict[str, str]], Mount]]] = {
    "bind": ({"source", "bind-propagation", "U", "idmap"}, _bind),
    "volume": ({"source", "volume-nocopy", "U", "idmap"}, _volume),
    "tmpfs": ({"tmpfs-size", "tmpfs-mode"}, _tmpfs),
}


def _options(word: str, fields: dict[str, str]) -> tuple[str, ...]:
    return tuple(flag for flag in _FLAGS if _flag(word, fields, flag))


def _owners(word: str, fields: dict[str, str]) -> Owners:
    given, mapped = _flag(word, fields, "U"), _flag(word, fields, "idmap")
    if given and mapped:
        raise _bad(word, "both U and idmap")
    return "U" if given else "idmap" if mapped else ""


def _flag(word: str, fields: dict[str, str], key: str) -> bool:
    value = fields.get(key, "false").lower()
    if value not in ("true", "1", "false", "0"):
        raise _bad(word, f"{key}={value} is neither true nor false")
    return value in ("true", "1")


def _bad(word: str, reason: str) -> UsageError:
    return UsageError(f"mount {word!r}: {reason}", hint=_HINT)
