"""`firkin` on the command line: from the words to an exit status.

The status is the process's own: 128 + n after signal n, 126 and 127 when the command inside is not executable
or not found, 125 when firkin could not do its part, 130 after Ctrl-C. Only --debug shows tracebacks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

STARTED_NS, STARTED_CPU_NS = time.monotonic_ns(), time.process_time_ns()

_OURS, _INTERRUPTED, _BROKEN_PIPE = 125, 130, 141


def main() -> NoReturn:
    """Run this process's command line, and exit."""
    try:
        status = invoke(sys.argv[1:])
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        status = _INTERRUPTED
    except BrokenPipeError:
        status = _BROKEN_PIPE
        _forget_output()
    sys.exit(status)


def invoke(words: list[str]) -> int:
    """The exit status of `firkin WORDS`; errors are reported on standard error.

    Raises KeyboardInterrupt and BrokenPipeError, which end a program without a word.
    """
    import click

    from firkin.cli.group import firkin

    debug = words[:1] in (["--debug"], ["-D"])
    try:
        with _events_shown(wanted=debug), firkin.make_context("firkin", list(words)) as context:
            status = firkin.invoke(context)
        return status if isinstance(status, int) else 0
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        return _misused(error)
    except BrokenPipeError:
        raise
    except Exception as error:  # the person sees it: one line, or with --debug a traceback
        from firkin.cli.report import report

        return report(error, debug=debug)


@contextmanager
def _events_shown(*, wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    from firkin.cli.debug import EventPrinter
    from firkin.events import subscribed

    with subscribed(EventPrinter(sys.stderr, STARTED_NS)):
        yield


def _misused(error: Exception) -> int:
    """The words of the call were wrong, says click."""
    import click

    from firkin.cli.report import say

    assert isinstance(error, click.ClickException)
    context = error.ctx if isinstance(error, click.UsageError) else None
    message = error.format_message().rstrip(".")
    path = context.command_path if context else "firkin"
    say(message[:1].lower() + message[1:], hint=f"`{path} --help` shows how it is used")
    return _OURS


def _forget_output() -> None:
    """Whoever read our output is gone: let the interpreter's last flush go nowhere."""
    import os

    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


if __name__ == "__main__":
    main()
