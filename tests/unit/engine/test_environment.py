"""What -e and --env-file say, and who wins."""

import pytest

from firkin.engine.environment import merge_environment, parse_environment
from firkin.errors import UsageError


def test_a_bare_name_takes_the_callers_value_or_takes_the_images_away():
    words = parse_environment(["HERE", "GONE"], environ={"HERE": "1"})
    assert words == ("HERE=1", "GONE")
    assert merge_environment(["GONE=image", "KEPT=image"], words) == ("KEPT=image", "HERE=1")


def test_the_last_value_wins_and_each_name_appears_once():
    assert merge_environment(["A=1", "B=1"], ["A=2"], ["A=3", "C="]) == ("A=3", "B=1", "C=")


def test_words_win_over_env_files(tmp_path):
    file = tmp_path / "env"
    file.write_text("A=file\nB=file\n")
    assert merge_environment(parse_environment(["A=word"], [file])) == ("A=word", "B=file")


def test_an_env_file_keeps_quotes_and_skips_comments_and_blank_lines(tmp_path):
    file = tmp_path / "env"
    file.write_bytes(b"\xef\xbb\xbf# comment\n\n  A='quoted value'\nB=1 # not a comment\nBARE\n")
    assert parse_environment([], [file], {"BARE": "x"}) == (
        "A='quoted value'",
        "B=1 # not a comment",
        "BARE=x",
    )


@pytest.mark.parametrize("content", [b"export A=1\n", b"A B=1\n", b"=1\n", b"\xff\xfe=1\n", b"A" * (1 << 21)])
def test_an_env_file_that_cannot_be_meant_is_refused(tmp_path, content):
    file = tmp_path / "env"
    file.write_bytes(content)
    with pytest.raises(UsageError):
        parse_environment([], [file])


def test_a_missing_env_file_is_named(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        parse_environment([], [tmp_path / "nowhere"])


@pytest.mark.parametrize("word", ["", "=x", "A=\0"])
def test_a_variable_without_a_name_is_refused(word):
    with pytest.raises(UsageError):
        parse_environment([word])
