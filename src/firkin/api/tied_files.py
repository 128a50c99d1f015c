"""TiedFiles: the files of this program that streams of a process are tied to, as subprocess ties them.

The words say which; open() gives descriptors of our own, so that the caller may close his at once.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import msgspec

from firkin.engine.engine import Engine
from firkin.engine.options import ExecOptions, RunOptions
from firkin.engine.stdio_words import NAMES, PIPE, StdioWords, is_tied
from firkin.errors import UsageError
from firkin.process.lent_terminal import LentTerminal
from firkin.process.relay import Relays
from firkin.process.spec import Outputs

Options = TypeVar("Options", RunOptions, ExecOptions)

_MODES = {
    "stdin": (os.O_RDONLY, "reading"),
    "stdout": (os.O_WRONLY, "writing"),
    "stderr": (os.O_WRONLY, "writing"),
}


@dataclass(frozen=True, slots=True)
class TiedFiles:
    """By the names of the streams, what was said for each that is tied."""

    words: Mapping[str, object]
    follows: bool = False
    """Whether a terminal of the process has the size that ours has."""

    @classmethod
    def taken_from(cls, words: StdioWords) -> TiedFiles:
        """Those of `words`, in which they are pipes from then on: that is what the process is given."""
        said = cast(dict[str, object], words)
        tied = {name: said[name] for name in NAMES if name in said and is_tied(name, said[name])}
        said.update(dict.fromkeys(tied, PIPE))
        return cls(tied, follows=said.get("terminal") is True)

    def open(self) -> dict[str, int]:
        """Descriptors for them, the caller's to close. Raises UsageError, which names the word.

        Where both outputs are one file, there is only that of "stdout".
        """
        opened: dict[str, int] = {}
        try:
            for name, word in self.words.items():
                opened[name] = _descriptor(name, word)
        except BaseException:
            for fd in opened.values():
                os.close(fd)
            raise
        if {"stdout", "stderr"} <= opened.keys() and os.path.sameopenfile(opened["stdout"], opened["stderr"]):
            os.close(opened.pop("stderr"))
        return opened

    @asynccontextmanager
    async def relays(
        self, engine: Engine, options: Options, what: str
    ) -> AsyncIterator[tuple[Options, Relays | None]]:
        """In the block the process of `options`, as they are given, is started, and the relays are begun.

        None where there is nothing to copy. They end with `engine`, and where the block raises. Raises as
        open().
        """
        if not self.words:
            yield options, None
            return
        opened = self.open()
        if "stderr" in self.words and "stderr" not in opened:
            options = msgspec.structs.replace(options, outputs=Outputs(stderr="stdout"))
        terminal = None if options.terminal is None else LentTerminal.found(opened)
        size = None if terminal is None or not self.follows else terminal.size
        if size is not None:
            options = msgspec.structs.replace(options, terminal=size)
        relays = Relays(opened, what, terminal, size)
        try:
            yield options, relays
        except BaseException:
            await relays.end()
            raise
        engine.keep(relays)


def _descriptor(name: str, word: object) -> int:
    """One of our own for what was said for the stream `name`."""
    number, path = _number(name, word), ""
    try:
        if number is None:
            path = os.fsdecode(cast(Any, word))
            flags = os.O_RDONLY if name == "stdin" else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            fd = os.open(path, flags | os.O_CLOEXEC, 0o666)
        else:
            fd = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3)
    except (OSError, ValueError) as error:
        what = path or f"descriptor {number}"
        raise UsageError(
            f"{name}: cannot use {what}: {getattr(error, 'strerror', None) or error}",
            hint="give one that is open or can be",
        ) from error
    try:
        _check(name, fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _number(name: str, word: object) -> int | None:
    """The descriptor that was meant; None for a path."""
    if word is None:
        return NAMES.index(name)
    if isinstance(word, int) and not isinstance(word, bool):
        return word
    if isinstance(word, str | os.PathLike):
        return None
    try:
        return int(cast(Any, word).fileno())
    except (AttributeError, OSError, ValueError) as error:
        raise UsageError(
            f"{name}: {word!r} has no descriptor",
            hint="give an open file, a path, or PIPE and read or write that",
        ) from error


def _check(name: str, fd: int) -> None:
    """Refuse what the stream cannot be copied to or from."""
    wanted, verb = _MODES[name]
    mode = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
    if mode not in (wanted, os.O_RDWR):
        raise UsageError(f"{name}: its file is not open for {verb}", hint=f"open it for {verb}")
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        raise UsageError(f"{name}: its file is a directory", hint="give a file in it")
