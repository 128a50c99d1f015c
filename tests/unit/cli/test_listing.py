"""Listings line up as docker's do, and machines get JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.cli.ago import ago, duration, rfc3339
from firkin.cli.listing import listing, shown
from firkin.cli.table import table
from firkin.errors import UsageError

HEADINGS = {"ID": "CONTAINER ID", "Names": "NAMES", "Image": "IMAGE", "Status": "STATUS"}
ROWS = [
    {"ID": "3f1c2b4a5d6e", "Names": "web", "Image": "nginx", "Status": "Up 2 minutes"},
    {"ID": "9e8d7c6b5a4f", "Names": "a-rather-long-name", "Image": "debian:12", "Status": "Exited (1)"},
]


def test_the_default_table_has_docker_s_columns() -> None:
    assert listing(ROWS, HEADINGS, ("ID", "Image", "Names"), "") == (
        "CONTAINER ID   IMAGE       NAMES\n"
        "3f1c2b4a5d6e   nginx       web\n"
        "9e8d7c6b5a4f   debian:12   a-rather-long-name\n"
    )


def test_an_empty_listing_still_has_its_headings() -> None:
    assert listing([], HEADINGS, ("ID", "Names"), "table") == "CONTAINER ID   NAMES\n"


def test_a_table_of_chosen_columns_takes_backslash_t_from_the_shell() -> None:
    assert listing(ROWS[:1], HEADINGS, (), r"table {{.Names}}\t{{.Status}}") == (
        "NAMES     STATUS\nweb       Up 2 minutes\n"
    )


def test_a_template_gets_a_line_for_each_row() -> None:
    assert listing(ROWS, HEADINGS, (), r"{{.ID}}\t{{.Names}}") == (
        "3f1c2b4a5d6e\tweb\n9e8d7c6b5a4f\ta-rather-long-name\n"
    )


def test_json_is_one_object_a_line() -> None:
    assert [json.loads(line) for line in listing(ROWS, HEADINGS, (), "json").splitlines()] == ROWS


def test_an_unknown_column_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"has no \.Nope; it has ID, Names, Image, Status"):
        listing(ROWS, HEADINGS, (), "table {{.Nope}}")


def test_one_object_is_shown_as_json_or_by_a_template() -> None:
    assert shown({"A": 1}, "json") == '{"A":1}\n'
    assert shown({"A": 1}, r"{{.A}}\n{{.a}}") == "1\n1\n"


def test_a_cell_cannot_steer_the_terminal_or_break_the_line() -> None:
    assert table([["A", "B"], ["\x1b[2Jx\n", "y"]]) == "A            B\n\\x1b[2Jx\\n   y\n"


@given(st.lists(st.lists(st.text(), min_size=3, max_size=3), min_size=1))
def test_every_column_begins_at_one_place(rows: list[list[str]]) -> None:
    marked = [[f"<{cell}" for cell in row] for row in rows]
    lines = table(marked).split("\n")[:-1]
    assert len(lines) == len(rows)
    first = table([["<" for _ in row] for row in rows]).split("\n")[0]
    assert all(line.startswith("<") for line in lines)
    assert first.index("<", 1) == 10


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (61, "About a minute"),
        (150, "2 minutes"), (3599, "59 minutes"), (3700, "About an hour"), (3 * 3600, "3 hours"),
        (50 * 3600, "2 days"), (20 * 86400, "2 weeks"), (90 * 86400, "3 months"), (800 * 86400, "2 years"),
    ],
)  # fmt: skip
def test_durations_are_said_as_docker_says_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_times_for_machines_have_nanoseconds_in_utc() -> None:
    assert rfc3339(1_700_000_000_000_000_012) == "2023-11-14T22:13:20.000000012Z"
    assert ago(1_000_000_000, 181_000_000_000) == "3 minutes ago"
    assert ago(None) == ""
