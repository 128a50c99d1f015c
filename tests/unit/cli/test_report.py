"""An error is one clear line and its hint, and cannot steer the terminal."""

import io

import pytest

from firkin.cli.report import printable, report
from firkin.errors import BootFailed, CommandNotFound, ImageNotFound, UsageError


def said(error: BaseException, *, debug: bool = False) -> tuple[int, str]:
    out = io.StringIO()
    return report(error, debug=debug, to=out), out.getvalue()


def test_an_error_is_what_failed_and_then_what_to_do() -> None:
    error = ImageNotFound("image 'nope' is not here", hint="pull it: firkin pull nope")
    assert said(error) == (125, "firkin: image 'nope' is not here\n  hint: pull it: firkin pull nope\n")


def test_an_error_without_a_hint_is_one_line() -> None:
    assert said(UsageError("'x' is not a size")) == (125, "firkin: 'x' is not a size\n")


def test_the_command_s_own_failures_keep_their_statuses() -> None:
    assert said(CommandNotFound("'sh' is not in the container's PATH"))[0] == 127


def test_a_failed_boot_shows_what_the_console_said_last() -> None:
    error = BootFailed("machine 'web' did not boot", console_tail="one\r\nKernel panic \x1b[31m!\r\n")
    assert said(error)[1].endswith("  the console's last lines:\n  | one\n  | Kernel panic \\x1b[31m!\n")


def test_a_fault_of_our_own_asks_for_a_report_and_shows_no_traceback() -> None:
    status, text = said(KeyError("x"))
    assert status == 125
    assert text.startswith("firkin: a fault in firkin itself: KeyError: 'x'\n  hint: `firkin --debug")
    assert "Traceback" not in text


def test_debug_shows_the_traceback_first() -> None:
    with pytest.raises(UsageError) as caught:
        raise UsageError("no")
    assert said(caught.value, debug=True)[1].startswith("Traceback")


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain ä\n", "plain ä\n"),
        ("\x1b]0;t\x07", "\\x1b]0;t\\x07"),
        ("\u202e", "\\u202e"),
        ("\udc80", "\\udc80"),
    ],
)
def test_only_printable_characters_reach_the_terminal(text: str, safe: str) -> None:
    assert printable(text) == safe


def test_of_several_errors_the_one_that_can_be_explained_is_told() -> None:
    several = ExceptionGroup("g", [KeyError("x"), ExceptionGroup("h", [UsageError("the reason")])])
    assert said(several) == (125, "firkin: the reason\n")
