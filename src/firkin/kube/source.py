"""Source: the bytes of a manifest and what errors call it."""

from __future__ import annotations

import sys
from pathlib import Path

from firkin.errors import UsageError
from firkin.kube.yaml_text import MAX_BYTES


def text_of(file: str | Path) -> tuple[bytes, str]:
    """The content of the file; of standard input for -. Raises UsageError."""
    if str(file) == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1), "standard input"
    try:
        with open(file, "rb") as opened:
            return opened.read(MAX_BYTES + 1), str(file)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", hint="check its path and mode") from error
