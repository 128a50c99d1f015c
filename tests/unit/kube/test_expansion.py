"""$(NAME) is replaced as Kubernetes replaces it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.kube.expansion import escape, expand


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$(A)", "a"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$a"),
        ("$(B)", "$(B)"),
        ("$A $", "$A $"),
        ("$(A", "$(A"),
        ("$$", "$"),
        ("x$(A)y$(A)", "xaya"),
        ("$($(A))", "$($(A))"),
        ("$()", "$()"),
    ],
)
def test_variables_are_replaced(text: str, result: str) -> None:
    assert expand(text, {"A": "a"}) == result


@given(st.text("$()A x"))
def test_what_is_escaped_is_left_as_it_was(text: str) -> None:
    assert expand(escape(text), {"A": "wrong", "": "wrong", "A x": "wrong"}) == text
