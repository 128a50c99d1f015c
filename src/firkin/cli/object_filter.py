"""Filters of `ls` and `prune` for objects that have a name, labels and containers that use them.

What only one kind has is asked of its own test: firkin.cli.volume_row, firkin.cli.network_row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Protocol, TypeVar

from firkin.errors import UsageError


class Labelled(Protocol):
    """The record of an object."""

    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> dict[str, str]: ...


class Object(Protocol):
    """An object and the names of the containers that list it."""

    @property
    def record(self) -> Labelled: ...
    @property
    def containers(self) -> Collection[str]: ...


T = TypeVar("T", bound=Object)
Test = Callable[[T], bool]


def object_filter(filters: Iterable[str], own: Callable[[str, str], Test[T] | None], hint: str) -> Test[T]:
    """Whether an object is what all of `filters` want. `own` gives the test of a key and a value, which has
    to be there, where the kind has one. Raises UsageError, with `hint`, for one that is no filter.
    """
    tests: list[Test[T]] = []
    for text in filters:
        key, _, value = text.partition("=")
        test = (own(key, value) or _common(key, value)) if value else None
        if test is None:
            raise UsageError(f"there is no filter {key}={value}", hint=hint)
        tests.append(test)
    return lambda found: all(test(found) for test in tests)


def _common(key: str, value: str) -> Test[Object] | None:
    if key == "name":
        return lambda found: value in found.record.name
    if key == "dangling" and value in ("true", "false", "1", "0"):
        return lambda found: (not found.containers) == (value in ("true", "1"))
    if key == "label":
        name, equals, wanted = value.partition("=")
        return lambda found: (
            name in found.record.labels and (not equals or found.record.labels[name] == wanted)
        )
    return None
