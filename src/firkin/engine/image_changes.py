"""Changes: lines of a Dockerfile that set part of an image's config, as `docker import --change` takes them.

CMD and ENTRYPOINT are a JSON list, or a line for /bin/sh -c. ENV and LABEL are key=value pairs with a shell's
quotes, ENV also `key value`. WORKDIR goes on from the one before.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Callable, Iterable

import msgspec

from firkin.engine import health_instruction
from firkin.errors import UsageError
from firkin.oci.image_config import ImageConfig


def changed(config: ImageConfig, changes: Iterable[str]) -> ImageConfig:
    """`config` with `changes` made in order. Raises UsageError, which names the line."""
    for line in changes:
        instruction, _, rest = line.strip().partition(" ")
        change = _INSTRUCTIONS.get(instruction.upper())
        if change is None:
            known = ", ".join(sorted(_INSTRUCTIONS))
            raise UsageError(f"cannot change an image by {line!r}", hint=f"an instruction is one of {known}")
        if not rest.strip():
            raise UsageError(
                f"{line!r} lacks a value", hint=f"write {instruction.upper()} and what it is to be"
            )
        config = change(config, rest.strip())
    return config


def _command(text: str) -> tuple[str, ...]:
    if not text.startswith("["):
        return ("/bin/sh", "-c", text)
    try:
        return tuple(msgspec.json.decode(text, type=list[str]))
    except msgspec.MsgspecError as error:
        raise UsageError(
            f"{text!r} is not a JSON list of strings: {error}", hint='write ["sh", "-c", "..."]'
        ) from error


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"cannot split {text!r} into words: {error}", hint="close the quotes") from error


def _pairs(text: str) -> dict[str, str]:
    """`a=1 b="2 3"`; or one `a 1 2 3`."""
    key, _, rest = text.partition(" ")
    words = [f"{key}={rest.strip()}"] if rest and "=" not in key else _words(text)
    pairs = dict(word.partition("=")[::2] for word in words if "=" in word)
    if len(pairs) < len(words) or not all(pairs):
        raise UsageError(f"{text!r} is not a list of key=value", hint='write KEY=value, or KEY="two words"')
    return pairs


def _env(config: ImageConfig, text: str) -> ImageConfig:
    known = dict(variable.partition("=")[::2] for variable in config.env)
    merged = known | _pairs(text)
    return msgspec.structs.replace(config, env=tuple(f"{key}={value}" for key, value in merged.items()))


def _paths(text: str) -> list[str]:
    paths = list(_command(text)) if text.startswith("[") else _words(text)
    for path in paths:
        if not path.startswith("/"):
            raise UsageError(f"volume {path!r} is not an absolute path", hint=f"write /{path}")
    return paths


def _ports(text: str) -> list[str]:
    ports = [word if "/" in word else f"{word}/tcp" for word in _words(text.lower())]
    for port in ports:
        number, _, protocol = port.partition("/")
        if (
            not number.isascii()
            or not number.isdigit()
            or int(number) > 65535
            or protocol not in ("tcp", "udp", "sctp")
        ):
            raise UsageError(f"{port!r} is not a port", hint="write 80, or 53/udp")
    return ports


def _workdir(config: ImageConfig, text: str) -> ImageConfig:
    path = posixpath.normpath(posixpath.join("/", config.working_dir, text))
    return msgspec.structs.replace(config, working_dir=path)


def _union(old: Iterable[str], new: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*old, *new)))


_INSTRUCTIONS: dict[str, Callable[[ImageConfig, str], ImageConfig]] = {
    "CMD": lambda config, text: msgspec.structs.replace(config, cmd=_command(text)),
    "ENTRYPOINT": lambda config, text: msgspec.structs.replace(config, entrypoint=_command(text)),
    "ENV": _env,
    "EXPOSE": lambda config, text: msgspec.structs.replace(
        config, exposed_ports=_union(config.exposed_ports, _ports(text))
    ),
    "HEALTHCHECK": lambda config, text: msgspec.structs.replace(
        config, healthcheck=health_instruction.parse(text, _command)
    ),
    "LABEL": lambda config, text: msgspec.structs.replace(config, labels=config.labels | _pairs(text)),
    "STOPSIGNAL": lambda config, text: msgspec.structs.replace(config, stop_signal=text),
    "USER": lambda config, text: msgspec.structs.replace(config, user=text),
    "VOLUME": lambda config, text: msgspec.structs.replace(
        config, volumes=_union(config.volumes, _paths(text))
    ),
    "WORKDIR": _workdir,
}
