"""The detach sequence is found however it is cut, and everything else reaches the process."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.cli.detach import DetachKeys, parse_keys
from firkin.errors import UsageError


@pytest.mark.parametrize(
    ("text", "keys"),
    [("ctrl-p,ctrl-q", b"\x10\x11"), ("Ctrl-],d", b"\x1dd"), ("a", b"a"), ("", b""), ("ctrl-@", b"\0")],
)
def test_keys_are_written_as_docker_writes_them(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-pq", "alt-x", "ctrl-p,", "ä"])
def test_what_is_not_a_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a key"):
        parse_keys(text)


def test_half_a_sequence_is_passed_on_once_it_cannot_be_one() -> None:
    keys = DetachKeys(b"\x10\x11")
    assert keys.feed(b"a\x10") == (b"a", False)
    assert keys.feed(b"b") == (b"\x10b", False)
    assert keys.feed(b"\x10\x10\x11rest") == (b"\x10", True)


@given(st.text("ab", min_size=1, max_size=4), st.lists(st.text("abc", max_size=5), max_size=8))
def test_the_first_sequence_is_found_however_the_input_is_cut(keys: str, pieces: list[str]) -> None:
    matcher = DetachKeys(keys.encode())
    whole, passed, found = "".join(pieces), "", False
    for piece in pieces:
        out, found = matcher.feed(piece.encode())
        passed += out.decode()
        if found:
            break
    assert found == (keys in whole)
    if found:
        assert passed == whole[: whole.index(keys)]
    else:
        assert whole.startswith(passed)
        assert keys.startswith(whole[len(passed) :])
