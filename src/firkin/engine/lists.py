"""Lists of words, as callers write them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from firkin.errors import UsageError

T = TypeVar("T")


def listed(field: str, value: Iterable[T]) -> tuple[T, ...]:
    """`value` as a tuple; a lone string, which would fall into letters, is refused. Raises UsageError."""
    if isinstance(value, str | bytes):
        raise UsageError(f"{field}: {value!r} is not a list", hint=f"write [{value!r}]")
    return tuple(value)
