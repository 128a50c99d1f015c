"""The benchmark's own arithmetic: a figure that is wrong here is believed."""

from __future__ import annotations

import sys

import pytest

from benchmarks.measure import Contender, Sample, command_times, take_turns
from benchmarks.memory import MEMORY_BYTES, descendants, weigh
from benchmarks.table import Row, draw


def test_contenders_take_turns_and_the_warm_up_does_not_count() -> None:
    order: list[str] = []

    def contender(name: str) -> Contender:
        def once() -> dict[str, float]:
            order.append(name)
            return {"whole": float(len(order))}

        return Contender(name, once)

    samples = take_turns([contender("a"), contender("b")], rounds=2, warmups=1)
    assert "".join(order) == "ababab"
    assert samples["a"]["whole"].values == (3.0, 5.0)
    assert samples["b"]["whole"].values == (4.0, 6.0)


def test_p95_of_few_values_is_the_largest_and_of_many_leaves_out_a_twentieth() -> None:
    assert Sample((3.0, 1.0, 2.0)).p95 == 3.0
    assert Sample(tuple(map(float, range(1, 101)))).p95 == 95.0


def test_a_missed_goal_says_by_how_much() -> None:
    ours, floor = Sample((0.120,)), Sample((0.050,))
    row = Row("start", ours, "ms", goal="<= 2 x floor", limit=0.100, floor=floor, floor_name="bare")
    assert row.verdict == "missed by 20.0 ms (20%)"
    assert row.ratio == pytest.approx(2.4)
    assert Row("start", ours, "ms", limit=0.120).verdict == "met"
    assert Row("start", ours, "ms").verdict == ""


def test_the_table_shows_every_row_in_its_unit() -> None:
    table = draw([Row("memory", Sample((40e6, 50e6, 60e6)), "MB"), Row("pull", Sample((1.5,)), "s")])
    assert "50.0 MB" in table
    assert "1.500 s" in table


def test_the_first_byte_is_earlier_than_the_end() -> None:
    program = "import sys; print('x', flush=True); sys.stdin.read(); sum(range(10**6))"
    times = command_times([sys.executable, "-c", program])
    assert 0 < times["first byte"] < times["whole"]


def test_a_command_that_fails_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match=r"status 3.*why"):
        command_times([sys.executable, "-c", "import sys; print('why'); sys.exit(3)"])


def test_the_guests_pages_are_told_from_what_stands_beside_them() -> None:
    import subprocess

    program = (
        f"import mmap; m = mmap.mmap(-1, {MEMORY_BYTES}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS);"
        " m.write(b'x' * (16 << 20)); print(flush=True); input()"
    )
    python = [sys.executable, "-c", program]
    with subprocess.Popen(python, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        weight = weigh(descendants(child.pid))
        child.communicate(b"\n")
    assert weight["guest"] == pytest.approx(16 << 20, abs=1 << 20)
    assert 0 < weight["vmm"] < 64 << 20
    assert weight["others"] == 0
