"""deb822 and the order of versions, with dpkg as the judge."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firkin.errors import Corrupt
from firkin.machine.debian.control import Version, paragraphs

VERSIONS = st.from_regex(r"\A([0-3]:)?[0-9][0-9a-cA-B.+~]{0,5}(-[0-9a-b.+~]{1,3})?\Z")
ORDERED = [
    "1.0~rc1-1",
    "1.0-1",
    "1.0-1+b1",
    "1.0-2~bpo1",
    "1.0-2",
    "1.0a-1",
    "1.0+dfsg-1",
    "1.1-1",
    "1.10-1",
    "1:0.1",
]


def test_versions_are_ordered_as_the_manual_says() -> None:
    assert [v.text for v in sorted(map(Version, reversed(ORDERED)))] == ORDERED


@settings(max_examples=40, deadline=None)
@given(VERSIONS, VERSIONS)
def test_two_versions_compare_as_dpkg_compares_them(left: str, right: str) -> None:
    if shutil.which("dpkg") is None:
        pytest.skip("needs dpkg")
    ours = (Version(left) > Version(right)) - (Version(left) < Version(right))
    for relation, sign in (("lt", -1), ("eq", 0), ("gt", 1)):
        theirs = subprocess.run(
            ["dpkg", "--compare-versions", left, relation, right], stderr=subprocess.DEVNULL
        )
        assert (theirs.returncode == 0) == (ours == sign), (left, relation, right)


def test_paragraphs_have_fields_with_continuation_lines() -> None:
    text = "# comment\nPackage: a\nDepends: b,\n c\n\n\nPackage: d\nDescription:\n .\n"
    assert list(paragraphs(text, what="it")) == [
        {"package": "a", "depends": "b,\nc"},
        {"package": "d", "description": "\n."},
    ]


@pytest.mark.parametrize("text", [" continued\n", "no colon\n"])
def test_what_is_no_field_is_corrupt(text: str) -> None:
    with pytest.raises(Corrupt, match="it "):
        list(paragraphs(text, what="it"))
