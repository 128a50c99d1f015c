"""StrictJson: JSON where a doubt is a refusal. No key twice, nothing unknown, no NaN, bounded in size."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from firkin import decoder

T = TypeVar("T")


class NotStrict(ValueError):
    """What is wrong with some JSON."""


def parse(content: bytes, limit_bytes: int) -> Any:
    """`content` as dicts, lists, strings and numbers. Raises NotStrict."""
    if len(content) > limit_bytes:
        raise NotStrict(f"it has more than {limit_bytes} bytes")
    try:
        return json.loads(content.decode(), object_pairs_hook=_unique, parse_constant=_constant)
    except NotStrict:
        raise
    except RecursionError as error:
        raise NotStrict("it is nested too deeply") from error
    except ValueError as error:  # also a number of more than 4300 digits, and what is no UTF-8
        raise NotStrict(str(error)) from error


def convert(value: Any, kind: Any) -> Any:
    """`value`, which `parse` gave, as the msgspec type `kind`. Raises NotStrict."""
    try:
        return decoder.convert(value, kind)
    except msgspec.ValidationError as error:
        raise NotStrict(str(error)) from error


def decode(content: bytes, kind: type[T], limit_bytes: int) -> T:
    """`content` as a value of the msgspec type `kind`. Raises NotStrict."""
    value: T = convert(parse(content, limit_bytes), kind)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise NotStrict(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return found


def _constant(text: str) -> Any:
    raise NotStrict(f"{text} is no JSON")
