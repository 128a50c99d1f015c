"""--since takes what docker takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.cli.ago import rfc3339
from firkin.cli.instant import parse_instant
from firkin.errors import UsageError

NOW = 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("10m", NOW - 600_000_000_000),
        ("1.5s", NOW - 1_500_000_000),
        ("1700000000", NOW),
        ("1700000000.25", NOW + 250_000_000),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T22:13:20.000000012Z", NOW + 12),
        ("2023-11-14T23:13:20+01:00", NOW),
    ],
)
def test_times_are_durations_seconds_or_rfc_3339(text: str, ns: int) -> None:
    assert parse_instant(text, NOW) == ns


@pytest.mark.parametrize("text", ["", "yesterday", "2023-99-99", "-", "1-"])
def test_what_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        parse_instant(text, NOW)


@given(st.integers(10**9 * 10**9, 4 * 10**9 * 10**9))
def test_a_printed_time_can_be_given_to_since(ns: int) -> None:
    assert parse_instant(rfc3339(ns), NOW) == ns
