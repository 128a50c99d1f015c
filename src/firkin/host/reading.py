"""Reading small files of the host, bounded, whatever they turn out to be."""

from __future__ import annotations

import os
from pathlib import Path

MAX_BYTES = 1 << 20


def content(path: Path | str, limit_bytes: int = MAX_BYTES) -> bytes | None:
    """The first `limit_bytes` of a file; None where there is none, or this user may not read it."""
    try:
        fd = os.open(
            path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        )  # a FIFO must not stop us
    except OSError:
        return None
    try:
        with os.fdopen(fd, "rb") as file:
            return file.read(limit_bytes)
    except OSError:
        return None


def text(path: Path | str, limit_bytes: int = MAX_BYTES) -> str | None:
    """As content(), what is no UTF-8 with surrogates."""
    found = content(path, limit_bytes)
    return None if found is None else found.decode(errors="surrogateescape")


def number(path: Path | str) -> int | None:
    """A file that holds one number, as those below /proc/sys do."""
    try:
        return int(text(path, 64) or "")
    except ValueError:
        return None


def names(directory: Path | str, most: int = 10_000) -> list[str]:
    """What is in a directory, sorted, at most `most`; nothing where it cannot be read."""
    found: list[str] = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                found.append(entry.name)
                if len(found) == most:
                    break
    except OSError:
        return []
    return sorted(found)


def existing(path: Path) -> Path:
    """`path`, or its nearest parent that is there."""
    return next((each for each in (path, *path.parents) if each.exists()), Path("/"))
