"""Fields: a mapping of a manifest that knows where it stands, and tells which of it nobody took.

The rule: what is taken has the type that was asked for, or the error has the field's path; what is not taken
is named once the block ends, unless it says nothing (null, {}, [] or "").
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

from firkin.errors import UsageError

T = TypeVar("T")
_NOTHING: tuple[object, ...] = (None, {}, [], "")


class FieldError(UsageError):
    """Of a field, whose path it begins with."""


class Fields:
    """A mapping at `path`. `unused` collects the paths of what nobody takes."""

    def __init__(self, value: object, path: str, unused: list[str]) -> None:
        self.path = path
        self._unused = unused
        if not isinstance(value, dict):
            raise bad(path or "the manifest", f"{_called(value)} is no mapping", "write its fields below it")
        for name in value:
            if not isinstance(name, str):
                raise bad(self.at(str(name)), "the name of a field is no text", "put it into quotes")
        self._left: dict[str, Any] = dict(value)

    def __enter__(self) -> Fields:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._unused += (self.at(name) for name, value in self._left.items() if value not in _NOTHING)

    def at(self, name: str) -> str:
        """Where the field `name` stands."""
        return f"{self.path}.{name}" if self.path else name

    def take(self, name: str) -> object:
        """Whatever stands there; None for nothing."""
        return self._left.pop(name, None)

    def ignore(self, *names: str) -> None:
        """Take what changes nothing here, whatever it says."""
        for name in names:
            self._left.pop(name, None)

    def unsaid(self, name: str, *harmless: object) -> None:
        """Name the field among the unused, unless it is one of `harmless`."""
        value = self.take(name)
        if value not in harmless:
            self.name_unused(name, value)

    def name_unused(self, name: str, value: object) -> None:
        """Name what was taken, and could not be honoured, unless it says nothing."""
        if value not in _NOTHING:
            self._unused.append(self.at(name))

    def inner(self, name: str, value: object) -> Fields:
        """The mapping that was taken as `value`."""
        return Fields(value, self.at(name), self._unused)

    def needed_map(self, name: str) -> Fields:
        """A mapping that must be there."""
        found = self.map(name)
        if found is None:
            raise bad(self.at(name), "it is missing", "the manifest must say it")
        return found

    def text(self, name: str, default: str = "") -> str:
        """Text; a number or a flag in its place is an error, since nobody knows how it was written."""
        value = self._typed(name, str, "text", "put it into quotes")
        return default if value is None else value

    def needed(self, name: str) -> str:
        """Text that must be there."""
        if not (value := self.text(name)):
            raise bad(self.at(name), "it is missing", "the manifest must say it")
        return value

    def flag(self, name: str, *, default: bool | None = None) -> bool | None:
        """true or false."""
        value = self._typed(name, bool, "true or false", "write true or false")
        return default if value is None else value

    def number(self, name: str, least: int, most: int) -> int | None:
        """A whole number from `least` to `most`."""
        value = self._typed(name, int, "a whole number", f"write one from {least} to {most}")
        if value is not None and not least <= value <= most:
            raise bad(self.at(name), f"{value} is out of range", f"choose from {least} to {most}")
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: str = "") -> str:
        """One of some words."""
        value = self.text(name) or default
        if value and value not in choices:
            raise bad(self.at(name), f"{value!r} is not one of {', '.join(choices)}", "choose one of them")
        return value

    def map(self, name: str) -> Fields | None:
        """A mapping; None where there is none."""
        value = self.take(name)
        return None if value is None else Fields(value, self.at(name), self._unused)

    def maps(self, name: str) -> list[Fields]:
        """A list of mappings."""
        return [
            Fields(each, f"{self.at(name)}[{number}]", self._unused)
            for number, each in enumerate(self.values(name))
        ]

    def values(self, name: str) -> list[Any]:
        """A list of anything."""
        return self._typed(name, list, "a list", "begin each of its lines with -") or []

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        found = self.values(name)
        for number, each in enumerate(found):
            if not isinstance(each, str):
                raise bad(f"{self.at(name)}[{number}]", f"{_called(each)} is no text", "put it into quotes")
        return found

    def pairs(self, name: str) -> dict[str, str]:
        """A mapping of texts to texts."""
        inner = self.map(name)
        if inner is None:
            return {}
        return {key: inner.text(key) for key in tuple(inner._left)}

    def _typed(self, name: str, kind: type[T], called: str, hint: str) -> T | None:
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise bad(self.at(name), f"{_called(value)} is not {called}", hint)
        return value


def bad(path: str, reason: str, hint: str) -> UsageError:
    """The error of a field."""
    return FieldError(f"{path}: {reason}", hint=hint)


@contextmanager
def inside(path: str) -> Iterator[None]:
    """Give the refusals of the block, which know nothing of manifests, the path of the field they are of."""
    try:
        yield
    except FieldError:
        raise
    except UsageError as error:
        raise bad(path, str(error), error.hint) from error


def _called(value: object) -> str:
    return f"{value!r}"[:60]
