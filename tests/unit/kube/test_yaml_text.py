"""YAML of strangers is bounded, and read as kubectl reads it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firkin.errors import UsageError
from firkin.kube.yaml_text import MAX_BYTES, MAX_DEPTH, documents, dump

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc-./", min_size=1), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES.filter(lambda value: value is not None))
@example("\x85")
@example("\u2028 \ufeff")
def test_what_is_dumped_is_read_again(value: object) -> None:
    assert documents(dump(value).encode(), "it") == [value]


def test_times_and_base_60_are_text_and_octal_is_a_number() -> None:
    text = b"[22:22, 2001-12-14, 0644, 1e3, 08, yes, '5', 1.50]"
    assert documents(text, "it") == [["22:22", "2001-12-14", 0o644, 1000.0, "08", True, "5", 1.5]]


def test_documents_are_many_and_empty_ones_none() -> None:
    assert documents(b"---\n---\na: 1\n---\n# nothing\n---\nb: 2\n", "it") == [{"a": 1}, {"b": 2}]


BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]\n" for number in range(1, 10)
)
MERGE_BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{number}: &a{number} {{<<: [{', '.join([f'*a{number - 1}'] * 9)}]}}\n" for number in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (BOMB, "with its aliases written out it has more than"),
        (MERGE_BOMB, "with its aliases written out it has more than"),
        ("a: &a [*a]", "stands within itself"),
        ("[" * (MAX_DEPTH + 1), f"nested more than {MAX_DEPTH} deep"),
        ("[" * 100_000, "nested more than"),
        ("a: 1\na: 2", "'a' is given twice"),
        ("? [a]\n: 1", "a key is no text"),
        ("a: !!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("a: *nobody", "undefined alias"),
        ("a: [", "line 1"),
        ("x" * (MAX_BYTES + 1), "more than 1 MiB"),
        ("a: \x01", "not allowed"),
        ("a: !!int x", "not YAML"),
    ],
)
def test_what_is_no_manifest_is_refused_quickly(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=r"^it ") as refused:
        documents(text.encode(), "it")
    assert complaint in str(refused.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    try:
        documents(text, "it")
    except UsageError:
        pass
