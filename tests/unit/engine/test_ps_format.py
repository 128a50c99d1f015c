"""What options of ps show of the processes of a container."""

from __future__ import annotations

import re

import pytest

from firkin.engine.ps_format import Seen, parse
from firkin.errors import UsageError
from firkin.wire.messages import ProcessRow

ROW = ProcessRow(
    pid=7, ppid=1, uid=33, gid=34, state="S", utime_ticks=6000, stime_ticks=150, start_ticks=500,
    age_ticks=9_003_000, rss_bytes=2 << 20, vsz_bytes=8 << 20, tty="pts/0", comm="sh",
    args=("sh", "-c", "wait a b"),
)  # fmt: skip
SEEN = Seen(ROW, 1_700_000_000.0, 256 << 20)


def table(*operands: str) -> tuple[list[str], list[str]]:
    columns = parse(operands)
    return [column.title for column in columns], [column.text(SEEN) for column in columns]


def test_the_forms_that_people_type_show_what_ps_does() -> None:
    titles, cells = table("aux")
    assert titles == ["USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND"]
    assert cells[:8] == ["33", "7", "0.1", "0.8", "8192", "2048", "pts/0", "S"]
    assert re.fullmatch(r"[A-Z][a-z]{2}\d\d", cells[8]), "it was started on another day"
    assert cells[9:] == ["1:01", "sh -c wait a b"]
    titles, cells = table("-ef")
    assert titles == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert (cells[:4], cells[6]) == (["33", "7", "1", "0"], "00:01:01")
    assert table("-e") == table("-A") == (["PID", "TTY", "TIME", "CMD"], ["7", "pts/0", "00:01:01", "sh"])
    assert table("-aux") == table("aux")
    assert table("-e", "-f") == table("-ef")


def test_a_list_of_columns_shows_those_by_their_titles() -> None:
    assert table("-eo", "pid,comm") == (["PID", "COMMAND"], ["7", "sh"])
    assert table("-o", "pid,ppid", "-o", "etime=Age,so long") == (
        ["PID", "PPID", "Age,so long"], ["7", "1", "1-01:00:30"],
    )  # fmt: skip
    assert table("-opid,etimes") == (["PID", "ELAPSED"], ["7", "90030"])
    assert table("o", "user,gid,stat") == (["USER", "GID", "STAT"], ["33", "34", "S"])


def test_columns_alone_are_shown_as_podman_shows_them() -> None:
    assert table("pid", "comm", "etimes") == (["PID", "COMMAND", "ELAPSED"], ["7", "sh", "90030"])


@pytest.mark.parametrize(
    ("operands", "complaint"),
    [
        (["--forest"], "'--forest' is not known here"),
        (["-Z"], "known are -e, -A"),
        (["-"], "not known"),
        (["-eo", "pid,wchan"], "no column 'wchan'"),
        (["-o"], "without what to show"),
        (["-o", ","], "without a column"),
        (["-ef", "-o", "pid"], "contradict"),
        (["-xo", "pid"], "not known"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(operands: list[str], complaint: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(operands)
    assert complaint in f"{refused.value}\n{refused.value.hint}"
