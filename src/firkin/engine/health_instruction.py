"""HealthInstruction: a Dockerfile's HEALTHCHECK as what an image says of it.

    HEALTHCHECK [--interval=30s] [--timeout=] [--start-period=] [--start-interval=] [--retries=3] CMD ...
    HEALTHCHECK NONE

Behind CMD stands a JSON list of words, or a line for a shell.
"""

from __future__ import annotations

from collections.abc import Callable

from firkin.errors import UsageError
from firkin.oci.healthcheck import ImageHealthCheck
from firkin.units import parse_duration

_TIMES = {
    "--interval": "interval",
    "--timeout": "timeout",
    "--start-period": "start_period",
    "--start-interval": "start_interval",
}
_HINT = "write HEALTHCHECK --interval=5s CMD test -e /ready, or HEALTHCHECK NONE"


def parse(text: str, words_of: Callable[[str], tuple[str, ...]]) -> ImageHealthCheck:
    """What stands behind HEALTHCHECK; `words_of` reads a JSON list. Raises UsageError."""
    numbers: dict[str, int] = {}
    rest = text.strip()
    while rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        numbers |= _flag(flag)
        rest = rest.strip()
    kind, _, command = rest.partition(" ")
    check = ImageHealthCheck(test=_test(kind.upper(), command.strip(), words_of), **numbers)
    if not check.is_sound or not check.test:
        raise UsageError(f"HEALTHCHECK: {text!r} is no health check", hint=_HINT)
    return check


def _test(kind: str, command: str, words_of: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
    if kind == "NONE" and not command:
        return ("NONE",)
    if kind != "CMD" or not command:
        return ()
    return ("CMD", *words_of(command)) if command.startswith("[") else ("CMD-SHELL", command)


def _flag(text: str) -> dict[str, int]:
    name, _, value = text.partition("=")
    if name == "--retries" and value.isascii() and value.isdecimal():
        return {"retries": int(value[:11])}
    if name not in _TIMES:
        raise UsageError(f"HEALTHCHECK: {text!r} is not known", hint=_HINT)
    return {_TIMES[name]: round(parse_duration(value) * 1e9)}
