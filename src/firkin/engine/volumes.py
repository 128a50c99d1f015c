"""Volume: the words of -v and --tmpfs, parsed into what is mounted where. Nothing here looks at the disk."""

from __future__ import annotations

import os
import posixpath

from firkin.container.spec import Bind, Tmpfs
from firkin.errors import UsageError
from firkin.units import parse_size
from firkin.volume.mount import Owners, VolumeMount
from firkin.volume.record import check_name

_FLAGS = {"ro", "rw", "noexec", "exec", "nosuid", "suid", "nodev", "dev"}
_TMPFS_DEFAULTS = ("nosuid", "nodev", "noexec")
_OPTIONS = ("nosuid", "nodev", "noexec")
_OWNERS = ("U", "idmap")
_BIND_HINT = "write HOST:CONTAINER or HOST:CONTAINER:ro, such as -v $PWD:/src:ro"


def parse_volume(word: str) -> Bind | VolumeMount:
    """`[SOURCE:]CONTAINER[:OPTION,...]`: a SOURCE that begins with / . or ~ is of this host, any other the
    name of a volume; without one, a volume that nobody names. Raises UsageError.
    """
    parts = word.split(":")
    if len(parts) == 1 and word.startswith("/"):
        return VolumeMount(target=container_path("volume", word))
    if parts[0].startswith(("/", ".", "~")) or not 2 <= len(parts) <= 3 or not all(parts):
        return parse_bind(word)
    options = parts[2].split(",") if len(parts) == 3 else []
    _check_options(word, options, ("ro", "rw", "nocopy", *_OWNERS, *_OPTIONS))
    return VolumeMount(
        name=check_name(parts[0]),
        target=container_path("volume", parts[1]),
        readonly="ro" in options,
        options=tuple(each for each in _OPTIONS if each in options),
        owners=_owners(word, options),
        copy="nocopy" not in options,
    )


def parse_bind(word: str) -> Bind:
    """`HOST:CONTAINER[:OPTION,...]`; a HOST that begins with . or ~ is made absolute. Raises UsageError."""
    parts = word.split(":")
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise UsageError(f"volume {word!r} is not HOST:CONTAINER[:ro]", hint=_BIND_HINT)
    source, target = parts[0], parts[1]
    if not source.startswith(("/", ".", "~")):
        raise UsageError(
            f"volume {word!r}: {source!r} is not a path",
            hint=f"write ./{source} for a directory of that name",
        )
    options = parts[2].split(",") if len(parts) == 3 else []
    _check_options(word, options, ("ro", "rw", *_OWNERS, *_OPTIONS))
    return Bind(
        source=host_path(source),
        target=container_path("volume", target),
        readonly="ro" in options,
        options=tuple(each for each in _OPTIONS if each in options),
        owners=_owners(word, options),
    )


def _owners(word: str, options: list[str]) -> Owners:
    if "U" in options and "idmap" in options:
        raise UsageError(f"volume {word!r}: both U and idmap", hint="choose one")
    return "U" if "U" in options else "idmap" if "idmap" in options else ""


def host_path(path: str) -> str:
    """The absolute path that a person means by `path` here."""
    return os.path.abspath(os.path.expanduser(path))


def _check_options(word: str, options: list[str], known: tuple[str, ...]) -> None:
    for option in options:
        if option not in known:
            raise UsageError(
                f"volume {word!r}: option {option!r} cannot be honoured", hint=f"known are {', '.join(known)}"
            )
    if "ro" in options and "rw" in options:
        raise UsageError(f"volume {word!r}: both ro and rw", hint="choose one")


def parse_tmpfs(word: str) -> Tmpfs:
    """`CONTAINER[:option,...]`: nosuid, nodev, noexec unless told otherwise, as Docker. Raises UsageError."""
    target, _, options = word.partition(":")
    chosen = list(_TMPFS_DEFAULTS)
    for option in filter(None, options.split(",")):
        _apply_option(chosen, option, word)
    return Tmpfs(target=container_path("tmpfs", target), options=tuple(chosen))


def _apply_option(chosen: list[str], option: str, word: str) -> None:
    key, equals, value = option.partition("=")
    if option in ("exec", "suid", "dev", "rw"):
        opposite = "ro" if option == "rw" else "no" + option
        chosen[:] = [each for each in chosen if each != opposite]
    elif option in _FLAGS:
        chosen[:] = [each for each in chosen if each != option] + [option]
    elif key == "size" and equals:
        try:
            chosen.append(f"size={parse_size(value)}")
        except UsageError as error:
            raise UsageError(f"tmpfs {word!r}: {error}", hint=error.hint) from error
    elif key == "mode" and equals and value and set(value) <= set("01234567") and int(value, 8) <= 0o7777:
        chosen.append(f"mode={value}")
    else:
        raise UsageError(
            f"tmpfs {word!r}: option {option!r} cannot be honoured",
            hint="known are ro, noexec, nosuid, nodev, their opposites, size=64m and mode=1777",
        )


def _climbs_out(path: str) -> bool:
    depth = 0
    for part in path.split("/"):
        depth += {"": 0, ".": 0, "..": -1}.get(part, 1)
        if depth < 0:
            return True
    return False


def container_path(field: str, path: str) -> str:
    """`path` normalised, when it may be a mount's place in a container. Raises UsageError naming `field`."""
    if path.startswith("/") and _climbs_out(path):
        raise UsageError(f"{field}: {path!r} leads out of the container", hint="leave out the dots")
    normal = posixpath.normpath(path)
    normal = "/" + normal.lstrip("/") if path.startswith("/") else normal
    if not normal.startswith("/") or normal == "/" or "\0" in path or len(path) > 4095:
        raise UsageError(
            f"{field}: {path!r} is not a place in the container",
            hint="write an absolute path below /, such as /data",
        )
    return normal
