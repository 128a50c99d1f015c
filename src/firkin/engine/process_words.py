"""Words of a process: ExecOptions from what a shell or a Python caller writes, with Docker's syntax.

Apart from the words of a container, which are many more: a command in one that runs is to be quick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Unpack

from firkin.engine.environment import parse_environment
from firkin.engine.lists import listed
from firkin.engine.options import ExecOptions
from firkin.engine.policy_words import PolicyWords, check_of_a_process, policy_options
from firkin.engine.stdio_words import StdioWords, stdio
from firkin.errors import UsageError
from firkin.process.raw import is_word, kept
from firkin.process.spec import TerminalSize

Environment = Mapping[str, str | bytes] | Iterable[str | bytes]
"""Variables by name, or `NAME=value`; a value may be any bytes."""


class MoreOfAProcess(PolicyWords, StdioWords, total=False):
    """Words of any process that have modules of their own."""


class ProcessWords(MoreOfAProcess, total=False):
    """What may be said of any process: the keywords of exec_options()."""

    env: Environment
    env_files: Iterable[str | Path]
    environ: Mapping[str, str] | None
    workdir: str
    user: str | int
    groups: Iterable[str | int]
    terminal: bool | TerminalSize | None


def exec_options(
    command: Iterable[str | bytes],
    *,
    env: Environment = (),
    env_files: Iterable[str | Path] = (),
    environ: Mapping[str, str] | None = None,
    workdir: str = "",
    user: str | int = "",
    groups: Iterable[str | int] = (),
    terminal: bool | TerminalSize | None = None,
    detach: bool = False,
    **more: Unpack[MoreOfAProcess],
) -> ExecOptions:
    """ExecOptions from words. Raises UsageError, which names the option and the rule."""
    args = words("command", command)
    check_of_a_process(more)
    streams = stdio(more, terminal=bool(terminal))
    if not args:
        raise UsageError("no command to execute", hint="write it after the container's name")
    return ExecOptions(
        command=args,
        env=parse_environment(variables(env), env_files, environ),
        workdir=workdir,
        user=str(user),
        groups=tuple(map(str, listed("groups", groups))),
        policy=policy_options(more),
        stdin=streams.stdin,
        outputs=streams.outputs,
        terminal=terminal_size(terminal),
        detach=detach,
    )


def words(field: str, value: Iterable[str | bytes]) -> tuple[str, ...]:
    """`value` as process.raw keeps words. A lone string is refused: is "echo hi" one word or two?"""
    found = listed(field, value)
    for word in found:
        if not isinstance(word, str | bytes) or not is_word(word):
            raise UsageError(f"{field}: {word!r} is not a word", hint="pass strings without NUL bytes")
    return tuple(map(kept, found))


def terminal_size(value: bool | TerminalSize | None) -> TerminalSize | None:
    """The size of the terminal that was asked for; None: no terminal."""
    if isinstance(value, TerminalSize):
        return value
    return TerminalSize() if value else None


def variables(value: Environment) -> tuple[str | bytes, ...]:
    """`value` as words `NAME=value`, or `NAME`."""
    if not isinstance(value, Mapping):
        return listed("env", value)
    for name in value:
        if "=" in name:
            raise UsageError(f"env: {name!r} is no name of a variable: it has a =", hint="leave out the =")
    return tuple(
        name.encode() + b"=" + text if isinstance(text, bytes) else f"{name}={text}"
        for name, text in value.items()
    )
