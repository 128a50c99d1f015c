"""Filters: which containers `firkin ps` and its like are asked for. Docker's words and meanings.

Values of one key are alternatives, but for labels, which all must be there; keys all must hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import msgspec

from firkin.container import names
from firkin.container.health import HEALTH_WORDS
from firkin.container.record import Exited, Record
from firkin.container.state import WORDS, word
from firkin.engine.summaries import ContainerSummary
from firkin.errors import ReferenceSyntaxError, UsageError
from firkin.oci.reference import Reference
from firkin.paths import Paths

Predicate = Callable[[ContainerSummary], bool]


class Filters(msgspec.Struct, frozen=True):
    """What is asked for, by key. `any_state`: ended ones are meant, too."""

    by_key: dict[str, tuple[Predicate, ...]] = {}
    any_state: bool = False

    @classmethod
    def parse(cls, words: Iterable[str], paths: Paths) -> Filters:
        """Those of `KEY=VALUE` words. Raises UsageError, ContainerNotFound for one that others are before."""
        by_key: dict[str, tuple[Predicate, ...]] = {}
        for said in words:
            key, equals, value = said.partition("=")
            if not equals or key not in _KEYS:
                raise UsageError(
                    f"filter: {said!r} is none", hint=f"write KEY=VALUE; keys: {', '.join(_KEYS)}"
                )
            by_key[key] = (*by_key.get(key, ()), _KEYS[key](value, paths))
        return cls(by_key, any_state="status" in by_key or "exited" in by_key)

    def match(self, summary: ContainerSummary) -> bool:
        """Whether that container is one of those."""
        return all(
            (all if key == "label" else any)(holds(summary) for holds in alternatives)
            for key, alternatives in self.by_key.items()
        )


def _id(value: str, _: Paths) -> Predicate:
    return lambda each: bool(value) and each.spec.id.startswith(value)


def _name(value: str, _: Paths) -> Predicate:
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise UsageError(
            f"filter: name {value!r} is not a pattern: {error}", hint="write part of a name"
        ) from error
    return lambda each: pattern.search(each.spec.name) is not None


def _label(value: str, _: Paths) -> Predicate:
    key, equals, wanted = value.partition("=")
    return lambda each: each.spec.labels.get(key) == wanted if equals else key in each.spec.labels


def _status(value: str, _: Paths) -> Predicate:
    if value not in WORDS:
        raise UsageError(f"filter: status {value!r} is none", hint=f"write one of {', '.join(WORDS)}")
    return lambda each: word(each.state) == value


def _health(value: str, _: Paths) -> Predicate:
    words = (*HEALTH_WORDS, "none")
    if value not in words:
        raise UsageError(f"filter: health {value!r} is none", hint=f"write one of {', '.join(words)}")
    return lambda each: each.health == value


def _exited(value: str, _: Paths) -> Predicate:
    if not (value.isascii() and value.isdecimal()) or int(value[:4]) > 255:
        raise UsageError(f"filter: exited {value!r} is no exit status", hint="write a number from 0 to 255")
    return lambda each: isinstance(each.state, Exited) and each.state.status.status == int(value)


def _ancestor(value: str, _: Paths) -> Predicate:
    """Of the image of that name, or whose digest begins so."""
    wanted, digest = _reference(value), value.removeprefix("sha256:")
    is_digest = re.fullmatch("[0-9a-f]{12,64}", digest) is not None
    if not (wanted or is_digest):
        raise UsageError(f"filter: ancestor {value!r} is not an image", hint="write a name or a digest")

    def holds(each: ContainerSummary) -> bool:
        by_digest = is_digest and each.spec.image_digest.startswith(f"sha256:{digest}")
        return by_digest or (wanted != "" and _reference(each.spec.image) == wanted)

    return holds


def _reference(text: str) -> str:
    """The whole name of an image, "" for what is none."""
    try:
        return str(Reference.parse(text))
    except ReferenceSyntaxError:
        return ""


def _before(value: str, paths: Paths) -> Predicate:
    created_ns = _created_ns(value, paths)
    return lambda each: each.spec.created_ns < created_ns


def _since(value: str, paths: Paths) -> Predicate:
    created_ns = _created_ns(value, paths)
    return lambda each: each.spec.created_ns > created_ns


def _created_ns(value: str, paths: Paths) -> int:
    return Record(paths, names.of(paths).lookup(value)).spec().created_ns


def _volume(value: str, _: Paths) -> Predicate:
    return lambda each: any(value in (bind.source, bind.target) for bind in each.spec.binds)


_KEYS: dict[str, Callable[[str, Paths], Predicate]] = {
    "id": _id, "name": _name, "label": _label, "status": _status, "exited": _exited, "ancestor": _ancestor,
    "before": _before, "since": _since, "volume": _volume, "health": _health,
}  # fmt: skip
