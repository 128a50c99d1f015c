"""How people write signals."""

import pytest

from firkin.engine.signals import parse_signal
from firkin.errors import UsageError


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("TERM", 15),
        ("SIGTERM", 15),
        ("sigint", 2),
        ("9", 9),
        (9, 9),
        ("RTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("RTMAX-1", 63),
    ],
)
def test_a_signal_is_known_by_name_and_by_number(word, number):
    assert parse_signal(word) == number


@pytest.mark.parametrize(
    "word", ["", "0", "65", "-1", "NOPE", "RTMIN-1", "RTMAX+1", "SIG_DFL", "_IGN", "BLOCK", "1.0"]
)
def test_a_word_that_is_no_signal_is_refused(word):
    with pytest.raises(UsageError, match="is not a signal"):
        parse_signal(word)
