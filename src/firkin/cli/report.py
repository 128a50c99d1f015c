"""How a failure reaches the person: one line that says what failed, one that says what to do, and a status.

    firkin: image 'alpnie' is not here and docker.io has no repository of that name
      hint: look for a typing error; `firkin images` lists what is here

Messages can carry words of a registry, an archive or a guest, so everything that could steer a terminal is
shown as an escape instead.
"""

from __future__ import annotations

import sys
from typing import TextIO

from firkin.errors import BootFailed, FirkinError

INTERRUPTED = 130
BROKEN_PIPE = 141
OURS = 125


def report(error: BaseException, *, debug: bool = False, to: TextIO | None = None) -> int:
    """Print `error` on standard error; the exit status that it stands for."""
    stream = sys.stderr if to is None else to
    if debug:
        import traceback

        traceback.print_exception(error, file=stream)
    error = _first(error)
    if isinstance(error, FirkinError):
        _print_known(error, stream)
        return error.exit_status
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return _print_unknown(error, stream)


def say(message: str, *, hint: str = "", to: TextIO | None = None, raw: bool = False) -> None:
    """One line for the person, on standard error, with its hint below; `raw` where a terminal is so now."""
    stream = sys.stderr if to is None else to
    first, *more = printable(message).rstrip("\n").split("\n")
    lines = [f"firkin: {first}", *(f"  {line}" for line in more)]
    if hint:
        lines.append("  hint: " + printable(hint).strip().replace("\n", "\n        "))
    end = "\r\n" if raw else "\n"
    stream.write("".join(line + end for line in "\n".join(lines).split("\n")))
    stream.flush()


def printable(text: str) -> str:
    """`text` with everything but printable characters, tabs and line ends shown as backslash escapes."""
    if text.isprintable():
        return text
    return "".join(char if char in "\n\t" or char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def _first(error: BaseException) -> BaseException:
    """Of a group, the first error that we know how to explain, else the first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    firsts = [_first(each) for each in error.exceptions]
    return next((each for each in firsts if isinstance(each, FirkinError)), firsts[0])


def _print_known(error: FirkinError, stream: TextIO) -> None:
    say(str(error), hint=error.hint, to=stream)
    if isinstance(error, BootFailed) and (tail := error.console_tail.strip()):
        lines = "".join(f"  | {line}\n" for line in printable(tail.replace("\r", "")).split("\n"))
        stream.write("  the console's last lines:\n" + lines)


def _print_unknown(error: BaseException, stream: TextIO) -> int:
    if isinstance(error, OSError):
        what = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    else:
        what = f"a fault in firkin itself: {type(error).__name__}: {error}"
    say(what, hint="`firkin --debug ...` shows where; please report it with that output", to=stream)
    return OURS
