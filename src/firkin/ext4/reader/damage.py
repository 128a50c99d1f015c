"""Damage: what is wrong with a file system, and where it was met."""

from __future__ import annotations

from firkin.errors import Corrupt

_HINT = "the guest may have damaged it; `e2fsck -fn` of a copy says more"


def damaged(structure: str, system: str, words: str) -> Corrupt:
    """The error that says what is wrong with a `structure` of the file system that is called `system`."""
    return Corrupt(f"{structure} of {system} {words}", hint=_HINT)
