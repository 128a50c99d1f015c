"""Settings: a bad one is refused by the name under which it was given."""

from __future__ import annotations

import pytest

from firkin.errors import UsageError
from firkin.pytest.home import Home
from firkin.settings import Settings


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("FIRKIN_TEMPLATES", "-1", "Expected `int` >= 0"),
        ("FIRKIN_TEMPLATES", "abc", "Expected `int`, got `str`"),
        ("FIRKIN_TEMPLATES_BYTES", "x", "'x' is not a size"),
        ("FIRKIN_BOOT_TIMEOUT_S", "0", "Expected `float` > 0.0"),
        ("FIRKIN_ACCELERATOR", "magic", "Invalid enum value 'magic'"),
    ],
)
def test_a_bad_variable_is_named(home: Home, variable: str, value: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        Settings.load(home.environ() | {variable: value})
    assert str(caught.value) == f"bad setting {variable}: {reason}"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("templates = -1", "bad setting templates: "),
        ("templates_bytes = -1", "bad setting templates_bytes: "),
        ('memory_bytes = "lots"', "bad setting memory_bytes: 'lots' is not a size"),
        ("auth_files = [1]", "bad setting auth_files: "),
        ("unknown = 1", "bad setting: Object contains unknown field `unknown`"),
    ],
)
def test_a_bad_line_of_the_file_is_named(home: Home, line: str, words: str) -> None:
    home.config_path.parent.mkdir(parents=True)
    home.config_path.write_text(line)
    with pytest.raises(UsageError) as caught:
        Settings.load(home.environ())
    assert str(caught.value).startswith(words)


def test_a_bad_keyword_is_not_blamed_on_the_environment(home: Home) -> None:
    with pytest.raises(UsageError, match="bad setting templates: "):
        Settings.load(home.environ() | {"FIRKIN_TEMPLATES": "4"}, templates=-1)


def test_no_templates_at_all_is_a_choice(home: Home) -> None:
    assert Settings.load(home.environ() | {"FIRKIN_TEMPLATES": "0"}).templates == 0
