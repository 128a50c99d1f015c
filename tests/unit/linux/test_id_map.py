"""IdMap and the modes that make one: pure values."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.errors import HostUnsupported, UsageError
from firkin.linux import id_modes
from firkin.linux.id_map import IDS, IdMap, IdRange, IdRanges
from firkin.linux.subordinate_ids import Holder, Range, of

USER = Holder(1000, 1001, "user", (Range("user", 100000, 65536),), (Range("user", 200000, 65536),))
ALONE = Holder(1000, 1001, "user")
ROOT = Holder(0, 0, "root")


@st.composite
def tables(draw: st.DrawFn) -> IdRanges:
    """Maps that the kernel takes: ranges side by side or apart, in any order."""
    inside = outside = 0
    ranges = []
    for count in draw(st.lists(st.integers(1, 1 << 16), min_size=1, max_size=20)):
        inside += draw(st.integers(0, 1000))
        outside += draw(st.integers(0, 1 << 20))
        ranges.append((inside, outside, count))
        inside, outside = inside + count, outside + count
    return IdRanges.of(*draw(st.permutations(ranges)))


@given(tables())
def test_a_table_survives_being_written_and_read(table: IdRanges) -> None:
    assert IdRanges.parse(str(table)) == table
    assert IdRanges.parse(table.lines) == table


@given(tables(), st.data())
def test_an_id_comes_back_from_the_other_side(table: IdRanges, data: st.DataObject) -> None:
    each = data.draw(st.sampled_from(table.ranges))
    inside = data.draw(st.integers(each.inside, each.inside + each.count - 1))
    outside = table.outside(inside)
    assert outside == each.outside + inside - each.inside
    assert table.inside(outside) == inside


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0:1000",
        "0:1000:0",
        "0:1000:-1",
        "a:b:c",
        "0:1000:1:1",
        "0:٣:1",
        f"0:{IDS}:1",
        f"1:0:{IDS}",
        "0:1000:10 5:3000:1",
        "0:1000:10 50:1009:1",
        " ".join(f"{n}:{n}:1" for n in range(341)),
    ],
)
def test_what_the_kernel_would_refuse_is_no_table(text: str) -> None:
    with pytest.raises(UsageError):
        IdRanges.parse(text)


def test_the_last_id_that_there_is_can_be_mapped() -> None:
    assert IdRanges.parse(f"0:{IDS - 1}:1").outside(0) == IDS - 1


def uids(id_map: IdMap) -> str:
    return str(id_map.uids)


def test_the_whole_map_makes_the_user_root_and_root_everybody_himself() -> None:
    assert id_modes.whole(USER) == IdMap(
        IdRanges((IdRange(0, 1000, 1), IdRange(1, 100000, 65536))),
        IdRanges((IdRange(0, 1001, 1), IdRange(1, 200000, 65536))),
    )
    assert not id_modes.whole(USER).single
    assert id_modes.whole(ALONE) == id_modes.single(ALONE)
    assert id_modes.whole(ALONE).single
    assert uids(id_modes.whole(ROOT)) == f"0:0:{IDS}"


def test_keep_id_puts_the_user_where_he_is_or_where_he_wants_to_be() -> None:
    kept = id_modes.keep_id(USER)
    assert uids(kept) == "0:100000:1000 1000:1000:1 1001:101000:64536"
    assert str(kept.gids) == "0:200000:1001 1001:1001:1 1002:201001:64535"
    assert uids(id_modes.keep_id(USER, uid=0)) == "0:1000:1 1:100000:65536"
    assert uids(id_modes.keep_id(USER, uid=70000)) == "0:100000:65536 70000:1000:1"
    assert uids(id_modes.keep_id(ALONE)) == "1000:1000:1"
    assert kept.root == (100000, 200000)
    with pytest.raises(UsageError):
        id_modes.keep_id(ROOT)


def test_two_subordinate_ranges_follow_each_other_around_the_user() -> None:
    holder = Holder(1000, 1000, "user", (Range("user", 5000, 600), Range("1000", 9000, 600)))
    assert uids(id_modes.whole(holder)) == "0:1000:1 1:5000:600 601:9000:600"
    assert uids(id_modes.keep_id(holder)) == "0:5000:600 600:9000:400 1000:1000:1 1001:9400:200"


def test_nomap_leaves_the_user_out() -> None:
    assert uids(id_modes.without_user(USER)) == "0:100000:65536"
    assert id_modes.without_user(USER).uids.inside(1000) is None
    with pytest.raises(HostUnsupported, match="no subordinate ids") as refused:
        id_modes.without_user(ALONE)
    assert "subids-missing" in refused.value.hint


def test_explicit_ids_are_those_that_unshare_shows_or_with_an_at_the_hosts() -> None:
    assert uids(id_modes.explicit(ROOT, ["0:100000:65536"], [])) == "0:100000:65536"
    assert str(id_modes.explicit(ROOT, [], ["0:100000:65536"]).uids) == "0:100000:65536"
    assert uids(id_modes.explicit(USER, ["0:1:100"], [])) == "0:100000:100"
    assert uids(id_modes.explicit(USER, ["5:0:2"], [])) == "5:1000:1 6:100000:1"
    assert uids(id_modes.explicit(USER, ["0:@100000:10", "10:@1000:1"], ["0:0:1"])) == (
        "0:100000:10 10:1000:1"
    )
    for text in ("0:100000:65536", "0:@99999:2", "0:@0:1", "0:1:65537"):
        with pytest.raises(UsageError, match="not among those that this user may map"):
            id_modes.explicit(USER, [text], ["0:0:1"])


def test_auto_maps_share_no_id_of_the_host() -> None:
    taken: list[IdMap] = []
    for _ in range(64):
        taken.append(id_modes.auto(USER, taken))
    ids = [each.outside for one in taken for each in one.uids.ranges]
    assert len(set(ids)) == 64
    assert all(one.uids.outside(0) is not None and one.uids.count == 1024 for one in taken)
    with pytest.raises(HostUnsupported, match="0 are left"):
        id_modes.auto(USER, taken)
    del taken[7], taken[30]
    again = id_modes.auto(USER, taken, 2048)
    assert len(again.uids.ranges) == 2, "two holes of 1024 make one of 2048"
    assert uids(id_modes.auto(ROOT, [])) == f"0:{0x70000000}:65536"


def test_ranges_are_found_by_name_and_by_number_and_none_twice(tmp_path: Path) -> None:
    path = tmp_path / "subuid"
    path.write_text("other:1:5\nuser:100000:10\n# a word\n1000:100000:10\n1000:200000:10\nuser:x:y\n")
    assert of(str(path), ("user", "1000")) == (Range("user", 100000, 10), Range("1000", 200000, 10))
    assert of(str(path) + "-gone", ("user",)) == ()
