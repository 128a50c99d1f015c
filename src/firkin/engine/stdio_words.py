"""The words for a process's streams, with subprocess' meanings: what the process is given, and what we keep.

    stdin=PIPE    Stdio    a value, which may be carried to whoever starts the process
    stdout=file   tied     a file of this program: only run() and exec() of its own can copy to it

The rule: what is tied to this program is taken out of the words by the API, which copies; wherever it is not,
it is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Literal, Protocol, TypedDict

import msgspec

from firkin.errors import UsageError
from firkin.process.spec import Outputs

PIPE, STDOUT, DEVNULL = -1, -2, -3
"""The numbers that subprocess has for them."""

NAMES = ("stdin", "stdout", "stderr")


class HasFileno(Protocol):
    """A file object."""

    def fileno(self) -> int: ...


Input = bool | int | str | PathLike[str] | HasFileno | None
"""True is PIPE, False DEVNULL, None this program's own; a descriptor, a file object, the path of a file."""
Target = int | str | PathLike[str] | HasFileno | None


class StdioWords(TypedDict, total=False):
    """What may be said of a process's streams. Unsaid, standard input is empty and both outputs are pipes."""

    stdin: Input
    stdout: Target
    stderr: Target


class Stdio(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is given."""

    stdin: bool = False
    outputs: Outputs = Outputs()


def is_tied(name: str, word: object) -> bool:
    """Whether `word` for the stream `name` is a file of this program."""
    if isinstance(word, bool):
        return False
    return not isinstance(word, int) or word >= 0


def is_pipe(word: object) -> bool:
    """Whether standard input is connected by `word`, to be written to."""
    return word is True or word == PIPE


def stdio(words: Mapping[str, object], *, terminal: bool) -> Stdio:
    """What `words` give a process, which has a terminal or not. Raises UsageError, which names the word."""
    for name in NAMES:
        if name in words and is_tied(name, words[name]):
            raise UsageError(
                f"{name}: only run() and exec() of a program that stays copy to or from its files",
                hint="say PIPE or DEVNULL; attach() gives the streams, logs() what was written",
            )
    stdin, stdout, stderr = (words.get(name, PIPE) for name in NAMES)
    if not isinstance(stdin, bool) and stdin not in (PIPE, DEVNULL):
        raise _not_one_of("stdin", stdin, "PIPE, DEVNULL")
    connected = "stdin" in words and is_pipe(stdin)
    if isinstance(stdout, bool) or stdout not in (PIPE, DEVNULL):
        raise _not_one_of("stdout", stdout, "PIPE, DEVNULL")
    if isinstance(stderr, bool) or stderr not in (PIPE, DEVNULL, STDOUT):
        raise _not_one_of("stderr", stderr, "PIPE, DEVNULL, STDOUT")
    if terminal:
        _check_terminal(words)
        return Stdio(stdin=connected)
    if stderr == STDOUT:
        return Stdio(stdin=connected, outputs=Outputs(stdout=_kind(stdout), stderr="stdout"))
    return Stdio(stdin=connected, outputs=Outputs(stdout=_kind(stdout), stderr=_kind(stderr)))


def _kind(word: object) -> Literal["pipe", "null"]:
    return "null" if word == DEVNULL else "pipe"


def _check_terminal(words: Mapping[str, object]) -> None:
    if words.get("stderr", STDOUT) != STDOUT:
        raise UsageError(
            "stderr: a terminal has one output, which is standard output",
            hint="leave stderr out, or leave the terminal out",
        )
    if words.get("stdout") == DEVNULL:
        raise UsageError("stdout: DEVNULL leaves a terminal nothing to show", hint="leave one of them out")


def _not_one_of(name: str, word: object, choices: str) -> UsageError:
    return UsageError(
        f"{name}: {word!r} is not one of {choices}, a descriptor, a file object, the path of a file or None",
        hint="say STDOUT for stderr alone"
        if word == STDOUT
        else "they mean what they do to subprocess.Popen",
    )
