"""`firkin` on the command line: from the words to an exit status.

The status is the process's own: 128 + n after signal n, 126 and 127 when the command inside is not executable
or not found, 125 when firkin could not do its part, 130 after Ctrl-C. Only --debug shows tracebacks.

Nothing is imported here that `firkin version` does not need: click costs as much as the rest of it together.
"""

from __future__ import annotations

import gc
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import NoReturn

STARTED_NS, STARTED_CPU_NS = time.monotonic_ns(), time.process_time_ns()

_OURS, _INTERRUPTED, _BROKEN_PIPE = 125, 130, 141
_COMPLETE = "_FIRKIN_COMPLETE"


def main() -> NoReturn:
    """Run this process's command line, and exit.

    The collector rests while modules are imported, and the interpreter is not taken down piece by piece at
    the end: there is nothing to find, and both are time that a person waits.
    """
    gc.disable()
    try:
        status = invoke(sys.argv[1:])
        _flush()
    except SystemExit as ended:  # a signal ended it, see session
        status = ended.code if isinstance(ended.code, int) else _OURS
    except KeyboardInterrupt:
        status = _INTERRUPTED
    except BrokenPipeError:
        status = _BROKEN_PIPE
    except OSError as error:  # our output could not be written
        status = _told(error)
    os._exit(status)


def invoke(words: list[str]) -> int:
    """The exit status of `firkin WORDS`; errors are reported on standard error.

    Raises KeyboardInterrupt and BrokenPipeError, which end a program without a word.
    """
    if words == ["version"]:
        from firkin.cli.version_facts import version_lines

        sys.stdout.write(version_lines())
        return 0
    return _invoke(words)


def _invoke(words: list[str]) -> int:
    import click

    from firkin.cli.group import firkin

    if shell := os.environ.get(_COMPLETE):  # asks what may follow, see `firkin completion`
        from firkin.cli.completing import answer

        sys.stdout.write(answer(firkin, shell, os.environ))
        return 0
    debug = words[:1] in (["--debug"], ["-D"])
    try:
        with _events_shown(wanted=debug), firkin.make_context("firkin", list(words)) as context:
            status = firkin.invoke(context)
        return status if isinstance(status, int) else 0
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        return _misused(error)
    except BrokenPipeError:
        raise
    except Exception as error:  # the person sees it: one line, or with --debug a traceback
        return _told(error, debug=debug)


def _told(error: Exception, *, debug: bool = False) -> int:
    from firkin.cli.report import report

    return report(error, debug=debug)


def _events_shown(*, wanted: bool) -> AbstractContextManager[None]:
    from contextlib import nullcontext

    if not wanted:
        return nullcontext()
    from firkin.cli.debug import EventPrinter
    from firkin.events import subscribed

    return subscribed(EventPrinter(sys.stderr, STARTED_NS))


def _misused(error: Exception) -> int:
    """The words of the call were wrong, says click."""
    import click

    from firkin.cli.report import say

    assert isinstance(error, click.ClickException)
    context = error.ctx if isinstance(error, click.UsageError) else None
    help_hint = f"`{context.command_path if context else 'firkin'} --help` shows how it is used"
    if isinstance(error, click.NoSuchOption):
        near = " or ".join(sorted(error.possibilities or ()))
        say(
            f"there is no option {error.option_name}",
            hint=f"did you mean {near}? {help_hint}" if near else help_hint,
        )
    else:
        message = error.format_message().rstrip(".")
        say(message[:1].lower() + message[1:], hint=help_hint)
    return _OURS


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


if __name__ == "__main__":
    main()
