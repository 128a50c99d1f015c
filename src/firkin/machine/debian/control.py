"""deb822: paragraphs of fields, as in Release, Packages and *.sources; and the order of versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import total_ordering
from itertools import zip_longest

from firkin.errors import Corrupt

MAX_LINE_BYTES = 1 << 20
Paragraph = dict[str, str]
"""Field names in lower case; continuation lines are joined by newlines, without their leading space."""


def paragraphs(text: str, *, what: str) -> Iterator[Paragraph]:
    """The paragraphs of `text`. Raises Corrupt, naming `what`, for a line that is no field."""
    current: Paragraph = {}
    name = ""
    for line in text.splitlines():
        if not line.strip():
            if current:
                yield current
            current, name = {}, ""
        elif line.startswith("#"):
            continue
        elif line[0] in " \t":
            if not name:
                raise Corrupt(f"{what} begins with a continuation line")
            current[name] += "\n" + line[1:].rstrip()
        else:
            name, colon, value = line.partition(":")
            if not colon or len(line) > MAX_LINE_BYTES:
                raise Corrupt(f"{what} has a line that is no field: {line[:80]!r}")
            name = name.lower()
            current[name] = value.strip()
    if current:
        yield current


@total_ordering
class Version:
    """A package version, ordered as deb-version(7) says."""

    def __init__(self, text: str) -> None:
        self.text = text
        epoch, colon, rest = text.partition(":")
        self._epoch = int(epoch) if colon and epoch.isdecimal() else 0
        rest = rest if colon else text
        upstream, dash, revision = rest.rpartition("-")
        self._parts = (upstream, revision) if dash else (rest, "0")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and not self < other and not other < self

    def __hash__(self) -> int:
        return hash(self._epoch)

    def __lt__(self, other: Version) -> bool:
        if self._epoch != other._epoch:
            return self._epoch < other._epoch
        for mine, theirs in zip(self._parts, other._parts, strict=True):
            if (mine_key := _key(mine, theirs)) != 0:
                return mine_key < 0
        return False


_RUNS = re.compile(r"(\D*)(\d*)")


def _key(left: str, right: str) -> int:
    """Below, at or above 0 as `left` is older than, as old as, or newer than `right`."""
    for (left_text, left_digits), (right_text, right_digits) in zip_longest(
        _RUNS.findall(left), _RUNS.findall(right), fillvalue=("", "")
    ):
        for a, b in zip_longest(left_text, right_text, fillvalue=""):
            if _rank(a) != _rank(b):
                return _rank(a) - _rank(b)
        if (difference := int(left_digits or 0) - int(right_digits or 0)) != 0:
            return difference
    return 0


def _rank(char: str) -> int:
    """`~` before the end, the end before letters, letters before everything else."""
    if char == "~":
        return -1
    if not char:
        return 0
    return ord(char) if char.isalpha() else ord(char) + 256
