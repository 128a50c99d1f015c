"""The words of --userns, and what they come to where ids are few."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.errors import FirkinError, HostUnsupported, UsageError
from firkin.linux.id_map import IDS
from firkin.linux.id_mode import IdMode
from firkin.linux.subordinate_ids import Holder, Range

SUBORDINATE = (Range("user", 100000, 65536),)
USER = Holder(1000, 1001, "user", SUBORDINATE, SUBORDINATE)
ALONE = Holder(1000, 1001, "user")
ROOT = Holder(0, 0, "root")
numbers = st.one_of(st.none(), st.integers(0, IDS - 1))
modes = st.one_of(
    st.sampled_from([IdMode(), IdMode(kind="nomap")]),
    st.builds(lambda uid, gid: IdMode(kind="keep-id", uid=uid, gid=gid), numbers, numbers),
    st.builds(lambda size: IdMode(kind="auto", size=size), st.one_of(st.none(), st.integers(1, IDS - 1))),
)


@given(modes)
def test_a_mode_reads_as_it_is_written(mode: IdMode) -> None:
    assert IdMode.parse(str(mode)) == mode


@pytest.mark.parametrize(
    "word",
    [
        *("", "private", "keepid", "container:web", "explicit", "host:uid=1", "nomap:"),
        *("keep-id:", "keep-id:uid", "keep-id:uid=-1", "keep-id:uid=1,uid=2", f"keep-id:uid={IDS}"),
        *("auto:size=0", "auto:uid=1", "auto:size=x"),
    ],
)
def test_what_is_no_mode_is_refused_with_those_that_there_are(word: str) -> None:
    with pytest.raises(UsageError, match=r"^userns: ") as refused:
        IdMode.parse(word)
    assert "keep-id:uid=N,gid=N" in refused.value.hint


@pytest.mark.parametrize(
    ("word", "holder", "uids"),
    [
        ("host", USER, "0:1000:1 1:100000:65536"),
        ("host", ALONE, "0:1000:1"),
        ("keep-id", USER, "0:100000:1000 1000:1000:1 1001:101000:64536"),
        ("keep-id:uid=5", USER, "0:100000:5 5:1000:1 6:100005:65531"),
        ("nomap", USER, "0:100000:65536"),
        ("auto:size=10", USER, "0:100000:10"),
        ("auto", ROOT, f"0:{0x70000000}:65536"),
    ],
)
def test_a_mode_gives_the_map_that_podman_gives(word: str, holder: Holder, uids: str) -> None:
    assert str(IdMode.parse(word).map(holder).uids) == uids


def test_who_is_kept_is_whom_the_container_begins_as() -> None:
    assert IdMode.parse("keep-id").kept_user(USER) == "1000:1001"
    assert IdMode.parse("keep-id:uid=7").kept_user(USER) == "7:1001"
    assert [IdMode.parse(word).kept_user(USER) for word in ("host", "nomap", "auto")] == [""] * 3


@pytest.mark.parametrize(
    ("mode", "holder", "kind", "reason"),
    [
        (IdMode.parse("keep-id"), ALONE, HostUnsupported, "nobody to be root"),
        (IdMode.parse("nomap"), ALONE, HostUnsupported, "no subordinate ids"),
        (IdMode.parse("auto"), ALONE, HostUnsupported, "no subordinate ids"),
        (IdMode.parse("keep-id"), ROOT, UsageError, "is for users"),
        (IdMode(kind="explicit", uids=("5:1:10",)), USER, UsageError, "has no root"),
        (IdMode(kind="explicit", uids=("0:1:10",), gids=("1:1:10",)), USER, UsageError, "has no root"),
    ],
)
def test_a_map_that_cannot_be_is_refused_with_the_reason(
    mode: IdMode, holder: Holder, kind: type[FirkinError], reason: str
) -> None:
    with pytest.raises(kind, match=reason) as refused:
        mode.map(holder)
    assert refused.value.hint
