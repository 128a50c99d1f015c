"""How changes are printed: a line for each as it is found, or as `--format` says."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from firkin.cli.report import printable
from firkin.snapshot.diff import Change

_HEADINGS = {"Type": "CHANGE TYPE", "Path": "PATH"}


def print_changes(changes: Iterable[Change], form: str) -> None:
    """Print `changes`. A name in which a guest put a line end or worse is shown with escapes."""
    if not form:
        for change in changes:
            sys.stdout.write(f"{change.kind} {_shown(change.path)}\n")
        return
    from firkin.cli.listing import listing

    rows = [{"Type": change.kind, "Path": _text(change.path)} for change in changes]
    sys.stdout.write(listing(rows, _HEADINGS, tuple(_HEADINGS), form))


def _text(path: str) -> str:
    """`path` as text that every encoding and JSON can hold."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _shown(path: str) -> str:
    return printable(_text(path)).replace("\n", "\\n").replace("\t", "\\t")
