"""The benchmark's own arithmetic: a figure that is wrong here is believed."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.__main__ import GROUPS, measured
from benchmarks.chart import Chart, Series
from benchmarks.measure import Contender, Sample, command_times, take_turns
from benchmarks.memory import MEMORY_BYTES, descendants, private_bytes, weigh
from benchmarks.place import Place
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


def test_a_contender_that_fails_is_told_in_its_row_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    turns: list[str] = []

    def breaks() -> dict[str, float]:
        turns.append("breaks")
        if len(turns) > 1:
            raise RuntimeError("it is broken\nas one can see")
        return {"whole": 1.0}

    samples = take_turns([Contender("broken", breaks), Contender("well", lambda: {"whole": 2.0})], rounds=3)
    broken, well = samples["broken"]["whole"], samples["well"]["whole"]
    assert len(turns) == 2
    assert well.values == (2.0, 2.0, 2.0)
    why = "failed: RuntimeError: it is broken"
    assert Row("b", broken, "ms", "<= 3 ms", 0.003, well, "well").verdict == why
    assert "as one can see" in capsys.readouterr().err

    beside = Row("w", well, "s", "<= 3 s", 3.0, broken, "broken")
    assert beside.verdict == "met"
    assert beside.ratio is None
    of_floor = Row("w", well, "s", "<= 2 x broken", broken.median * 2, broken, "broken")
    assert of_floor.verdict == f"broken {why}"
    assert "failed: broken" in draw([beside])
    document = json.loads(json.dumps(of_floor.as_json(), allow_nan=False))
    assert document["limit"] is None
    assert document["floor"]["failure"] == "RuntimeError: it is broken"


def test_a_measure_that_a_contender_did_not_take_is_no_failure_of_it() -> None:
    samples = take_turns([Contender("well", lambda: {"whole": 2.0})], rounds=1)
    with pytest.raises(KeyError, match="hole"):
        samples["well"]["hole"]


def test_a_group_that_fails_is_a_row_below_those_that_it_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Row("first", Sample((1.0,)), "s")

    def rows(place: Place) -> Iterator[Row]:
        yield given
        raise OSError("no space left")

    module = types.ModuleType("broken_group")
    module.rows = rows  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "broken_group", module)
    monkeypatch.setitem(GROUPS, "broken", "broken_group")
    place = Place(Path("/"), registry=None, rounds=1)  # type: ignore[arg-type]
    first, last = measured("broken", place)
    assert first is given
    assert isinstance(last, Row)
    assert last.verdict == "failed: OSError: no space left"


CHART = Chart(
    "forks", "forks", (1, 10), (Series("time", "s", (0.5, 2.0)), Series("memory", "MB", (0.0, 0.0)))
)


def test_the_bars_of_a_chart_are_as_long_as_its_values() -> None:
    time, memory = CHART.text().split("\n\n")
    assert [line.count("█") + line.count("▌") / 2 for line in time.splitlines()] == [0, 12.5, 50]
    assert "10    2 s" in time
    assert "█" not in memory


def test_a_chart_is_drawn_as_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: ./dev bench does that")
    path = CHART.save(tmp_path / "charts")
    assert path == tmp_path / "charts" / "forks.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_private_memory_is_what_a_process_shares_with_nobody() -> None:
    program = (
        "import mmap, sys, os; before = mmap.mmap(-1, 32 << 20); before.write(b'x' * (32 << 20))\n"
        "if (pid := os.fork()) == 0:\n"
        "    own = mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
        "    own.write(b'y' * (16 << 20)); print(os.getpid(), flush=True); sys.stdin.read(); os._exit(0)\n"
        "os.waitpid(pid, 0)"
    )
    python = [sys.executable, "-c", program]
    with subprocess.Popen(python, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        held = private_bytes(int(child.stdout.readline()))
        child.communicate(b"")
    assert 16 << 20 <= held < 24 << 20
