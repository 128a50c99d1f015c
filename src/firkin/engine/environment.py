"""Environment: the words of -e and --env-file, and the order in which they meet the image's.

A word is `KEY=value`, or `KEY` alone, which takes the caller's value or, where the caller has none, takes the
variable away from what the image sets. The result of this module never holds a bare KEY that is to be looked
up later: the process that resolves a container (a supervisor) is not the one whose environment was meant.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from firkin.errors import UsageError
from firkin.process.raw import is_word, kept, name

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MAX_ENV_FILE_BYTES = 1 << 20


def parse_environment(
    words: Iterable[str | bytes], files: Iterable[str | Path] = (), environ: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The words of `files`, then `words` (which win), with bare keys looked up in `environ`.

    Raises UsageError for a word without a name, or a file that cannot be read.
    """
    caller = {} if environ is None else environ
    listed = [word for file in files for word in _file_words(Path(file))]
    return tuple(_looked_up(word, caller) for word in (*listed, *words))


def merge_environment(*layers: Iterable[str]) -> tuple[str, ...]:
    """`KEY=value` strings of all layers: each KEY once, the last value wins, a bare KEY removes it."""
    merged: dict[bytes, str] = {}
    for word in (word for layer in layers for word in layer):
        if "=" in word:
            merged[name(word)] = word
        else:
            merged.pop(name(word), None)
    return tuple(merged.values())


def _looked_up(said: str | bytes, environ: Mapping[str, str]) -> str:
    word = os.fsdecode(said)
    key, equals, _ = word.partition("=")
    if not key or not is_word(word):
        raise UsageError(
            f"environment variable {word!r} has no name", hint="write NAME=value, or NAME to pass yours on"
        )
    return kept(word if equals or key not in environ else f"{key}={environ[key]}")


def _file_words(path: Path) -> list[str]:
    """The words of one env file as `docker run --env-file` reads it: one a line, no quoting, # comments."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_ENV_FILE_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(
            f"cannot read env file {path}: {error.strerror}", hint="check its path and mode"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"env file {path} is not UTF-8 text", hint="save it as UTF-8") from error
    if len(content) > MAX_ENV_FILE_BYTES:
        raise UsageError(f"env file {path} is larger than 1 MiB", hint="mount a file with -v instead")
    lines = [line.lstrip() for line in text.splitlines()]
    words = [line for line in lines if line and not line.startswith("#")]
    for word in words:
        if any(character.isspace() for character in word.partition("=")[0]):
            raise UsageError(
                f"env file {path}: variable {word.partition('=')[0]!r} contains white space",
                hint="write NAME=value, one a line, without quotes or `export`",
            )
    return words
