"""Words for a process's limits, with Docker's syntax: --ulimit NAME=SOFT[:HARD]; umask; and plain numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from firkin.engine.lists import listed
from firkin.errors import UsageError
from firkin.process import policy
from firkin.wire.privileges import Rlimit

_MOST_OPEN_FILES = 1 << 20  # fs.nr_open as the kernel begins


def number_of(field: str, said: int | str | None, least: int, most: int) -> int | None:
    if said is None or said == "":
        return None
    try:
        number = int(said)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise UsageError(f"{field}: {said!r} is not a number from {least} to {most}", hint="give one of them")
    return number


def umask_of(said: int | str | None) -> int | None:
    """Words are octal, as umask(1) has them; a number is a number."""
    if said is None or said == "":
        return None
    try:
        number = int(said, 8) if isinstance(said, str) else said
    except ValueError:
        number = -1
    if not 0 <= number <= 0o777:
        raise UsageError(f"umask: {said!r} is not one of 0000 to 0777", hint="write it in octal, as 0027")
    return number


def limits_of(said: Mapping[str, int | str | tuple[int, int]] | Iterable[str]) -> tuple[Rlimit, ...]:
    """Of each name the last."""
    pairs = (
        tuple(said.items())
        if isinstance(said, Mapping)
        else tuple(_ulimit_pair(text) for text in listed("ulimit", said))
    )
    limits = {limit.type: limit for limit in (_rlimit(name, value) for name, value in pairs)}
    return tuple(limits.values())


def _ulimit_pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"ulimit: {text!r} has no value", hint="write NAME=SOFT or NAME=SOFT:HARD")
    return name, value


def _rlimit(name: str, value: int | str | tuple[int, int]) -> Rlimit:
    short = name.upper().removeprefix("RLIMIT_")
    if short not in policy.RLIMITS:
        known = ", ".join(known.lower() for known in policy.RLIMITS)
        raise UsageError(f"ulimit: {name!r} is not one of {known}", hint="choose one of them")
    soft, hard = _bounds(name, value)
    return checked_rlimit("ulimit", short, soft, hard)


def checked_rlimit(field: str, name: str, soft: int, hard: int) -> Rlimit:
    """The limit, where the guest's kernel can set it. Raises UsageError."""
    if soft > hard:
        raise UsageError(f"{field}: of {name.lower()} the soft limit is above the hard one", hint="swap them")
    if name == "NOFILE" and hard > _MOST_OPEN_FILES:
        raise UsageError(
            f"{field}: nofile is more than {_MOST_OPEN_FILES}, which is all that a kernel allows",
            hint=f"give up to {_MOST_OPEN_FILES}",
        )
    return Rlimit(type=policy.RLIMITS.index(name), soft=soft, hard=hard)


def _bounds(name: str, value: int | str | tuple[int, int]) -> tuple[int, int]:
    parts = value if isinstance(value, tuple) else str(value).split(":")
    if len(parts) not in (1, 2):
        raise UsageError(f"ulimit: {value!r} of {name} is not SOFT:HARD", hint="write NAME=SOFT:HARD")
    bounds = tuple(_bound(name, part) for part in parts)
    return bounds[0], bounds[-1]


def _bound(name: str, value: int | str) -> int:
    if value in (-1, "-1", "unlimited"):
        return policy.UNLIMITED
    try:
        number = int(value)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 64:
        raise UsageError(f"ulimit: {value!r} of {name} is not a number", hint="from 0, or unlimited")
    return number
