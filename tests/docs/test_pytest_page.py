"""The page of the plugin for pytest names each fixture, option and method that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from firkin.pytest import fixtures, words

PAGE = (Path(__file__).parents[2] / "docs/reference/pytest.md").read_text()


def rows() -> set[str]:
    return set(re.findall(r"^\| `(\w+)` ", PAGE, re.MULTILINE))


def test_every_fixture_and_every_option_is_on_the_page() -> None:
    there = {name for name in vars(fixtures) if name.startswith("firkin_")}
    of_a_test = {name for name in there if not name.startswith(("firkin_module_", "firkin_session_"))}
    parser = pytest.Parser(_ispytest=True)
    words.add_options(parser)
    options = {name for name in parser._inidict if name.startswith("firkin_")}
    assert rows() == of_a_test | options
