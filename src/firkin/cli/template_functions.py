"""The functions that a `--format` template can call, and how Go prints the values they meet.

Every function takes and returns plain data; the operand that came through `|` is the last. A wrong operand
raises what Python raises; template turns that into a UsageError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any


class _NoValue:
    """What a missing entry of a data map is: false, empty, and printed as Docker prints it."""

    def __bool__(self) -> bool:
        return False


NO_VALUE = _NoValue()


def show(value: Any) -> str:
    """`value` as Go's %v prints it: true, [a b], map[k:v], <no value>."""
    if value is None or value is NO_VALUE:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{show(item)}" for key, item in sorted(value.items())) + "]"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + " ".join(map(show, value)) + "]"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def is_true(value: Any) -> bool:
    """Go's truth: not false, 0, "", nil, nor empty; as Python's."""
    return bool(value)


def to_json(value: Any) -> str:
    """`value` as one line of JSON."""
    return json.dumps(None if value is NO_VALUE else value, separators=(",", ":"), ensure_ascii=False)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, NO_VALUE)
        elif isinstance(key, bool) or not isinstance(key, int) or key < 0:
            raise TypeError("a list is indexed by numbers from 0")
        else:
            value = value[key]
    return value


def _slice(value: Any, start: int = 0, end: int | None = None) -> Any:
    if start < 0 or start > len(value) or (end is not None and not start <= end <= len(value)):
        raise IndexError("outside the value")
    return value[start:end]


def _and(first: Any, *rest: Any) -> Any:
    return reduce(lambda value, other: other if is_true(value) else value, rest, first)


def _or(first: Any, *rest: Any) -> Any:
    return reduce(lambda value, other: value if is_true(value) else other, rest, first)


def _printf(form: str, *values: Any) -> str:
    """%s %v %d %q %t %x %f %e %g with flags, width and precision; %% is a percent sign."""
    left = list(values)

    def one(match: re.Match[str]) -> str:
        flags, verb = match[1], match[2]
        if verb == "%":
            return "%"
        value = left.pop(0)
        if verb in "svt":
            return f"%{flags}s" % show(value)
        if verb == "q":
            return f"%{flags}s" % json.dumps(show(value), ensure_ascii=False)
        return str(f"%{flags}{verb}" % value)

    text = re.sub(r"%([-+ 0#]*\d{0,4}(?:\.\d{1,3})?)([svtqdxXofeEg%])", one, form)
    if left:
        raise ValueError("more operands than the format has verbs")
    return text


def _join(items: Any, separator: str = "") -> str:
    if isinstance(items, str):
        raise TypeError("join needs a list")
    return separator.join(map(show, items))


def _pad(text: Any, before: int, after: int) -> str:
    return " " * min(before, 1000) + show(text) + " " * min(after, 1000)


def _title(text: str) -> str:
    return re.sub(r"(^|\s)(\S)", lambda match: match[1] + match[2].upper(), text)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "json": to_json,
    "index": _index,
    "slice": _slice,
    "len": lambda value: len(value),
    "join": _join,
    "split": lambda text, separator: text.split(separator),
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "title": _title,
    "truncate": lambda text, length: text[: max(length, 0)],
    "pad": _pad,
    "print": lambda *values: "".join(map(show, values)),
    "println": lambda *values: " ".join(map(show, values)) + "\n",
    "printf": _printf,
    "eq": lambda first, *rest: any(first == other for other in rest),
    "ne": lambda left, right: left != right,
    "lt": lambda left, right: left < right,
    "le": lambda left, right: left <= right,
    "gt": lambda left, right: left > right,
    "ge": lambda left, right: left >= right,
    "and": _and,
    "or": _or,
    "not": lambda value: not is_true(value),
}
