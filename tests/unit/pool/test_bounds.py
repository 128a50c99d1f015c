"""What a pool does next, on a host of such facts."""

from __future__ import annotations

import msgspec
import pytest

from firkin.errors import MemoryFull, UsageError
from firkin.pool.bounds import Bounds, Counts, Facts, Plan, facts_of, plan, require_room
from firkin.settings import Settings

MIB, GIB = 1 << 20, 1 << 30
EACH = 100 * MIB
ROOMY = Facts(memory_bytes=16 * GIB, available_bytes=12 * GIB, disk_free_bytes=100 * GIB)
BOUNDS = Bounds(
    ready=4, at_once=2, max_load=8.0, reserve_memory_bytes=GIB, reserve_disk_bytes=GIB
)  # fmt: skip


def facts(**different: float) -> Facts:
    return msgspec.structs.replace(ROOMY, **different)


def next_of(
    bounds: Bounds = BOUNDS,
    host: Facts = ROOMY,
    *,
    stocking: bool = True,
    eager: bool = True,
    **counts: int,
) -> Plan:
    return plan(bounds, Counts(**counts), host, EACH, stocking=stocking, eager=eager)


def fills(*arguments: object, **words: object) -> int:
    return next_of(*arguments, **words).fill  # type: ignore[arg-type]


def test_what_is_missing_is_made_a_few_at_once() -> None:
    assert next_of() == Plan(fill=2)
    assert next_of(filling=1) == Plan(fill=1)
    assert next_of(filling=2) == Plan()
    assert next_of(idle=3) == Plan(fill=1)
    assert next_of(idle=3, filling=1) == next_of(idle=4) == next_of(idle=4, leased=90) == Plan()


def test_what_somebody_waits_for_is_made_at_once_or_in_turn() -> None:
    assert fills(waiting=5) == 5
    assert fills(waiting=5, filling=3) == 2
    assert fills(waiting=5, eager=False) == 2
    assert fills(waiting=5, filling=1, eager=False) == 1


def test_a_rest_after_a_failure_is_for_stock_alone() -> None:
    assert fills(stocking=False) == 0
    assert fills(stocking=False, waiting=1) == 1


def test_load_keeps_from_making_stock_and_from_nothing_else() -> None:
    busy = facts(load=8.1)
    assert next_of(host=busy) == Plan(pressure="the load is 8.1, more than 8")
    assert next_of(host=busy, waiting=3).fill == 3
    assert next_of(host=busy, idle=4) == Plan()
    assert next_of(host=facts(load=8.0)).fill == 2


@pytest.mark.parametrize("eager", [True, False])
def test_there_are_never_more_than_the_most(eager: bool) -> None:
    bounds = msgspec.structs.replace(BOUNDS, most=5)
    assert fills(bounds, leased=5, waiting=3, eager=eager) == 0
    assert fills(bounds, leased=3, ending=1, waiting=3, eager=eager) == 1
    assert fills(bounds, idle=1, leased=4) == 0


def test_a_machine_that_does_not_fit_is_not_made() -> None:
    tight = facts(available_bytes=GIB + 2 * EACH - 1)
    assert next_of(host=tight).fill == 1
    none = next_of(host=tight, filling=1, waiting=2)
    assert none.fill == 0
    assert none.pressure == (
        "one more machine takes 105MB of memory, of which 1.28GB are left and 1.07GB are kept free"
    )
    assert "16.8MB of disk" in next_of(host=facts(disk_free_bytes=GIB + MIB)).pressure


@pytest.mark.parametrize(
    ("short", "word"),
    [
        ({"available_bytes": GIB - 1}, "memory"),
        ({"disk_free_bytes": GIB - 1}, "disk"),
        ({"memory_stall": 0.2}, "20%"),
    ],
)
def test_below_a_floor_the_idle_go_one_at_a_time_and_nothing_is_made(
    short: dict[str, float], word: str
) -> None:
    planned = next_of(host=facts(**short), idle=3, leased=9, waiting=1)
    assert (planned.fill, planned.evict) == (0, 1)
    assert word in planned.pressure
    assert next_of(host=facts(**short), leased=9).evict == 0


def test_one_that_went_for_its_memory_is_not_made_again_at_once() -> None:
    """It gave back less than what is taken into account for a new one."""
    gave_back = facts(available_bytes=GIB + 20 * MIB)
    assert next_of(host=gave_back, idle=3) == next_of(host=gave_back, idle=3, filling=0)
    assert next_of(host=gave_back, idle=3).fill == 0
    assert next_of(host=gave_back, idle=3).evict == 0


def test_more_idle_ones_than_wanted_go() -> None:
    assert next_of(idle=6) == Plan(evict=2)


def test_a_lease_that_needs_one_more_is_refused_with_the_numbers() -> None:
    tight = facts(available_bytes=GIB + 2 * EACH)
    require_room(BOUNDS, Counts(filling=1), tight, EACH)
    with pytest.raises(MemoryFull, match="none can be started: one more machine takes 105MB of memory"):
        require_room(BOUNDS, Counts(filling=2), tight, EACH)
    with pytest.raises(MemoryFull, match="of disk"):
        require_room(BOUNDS, Counts(), facts(disk_free_bytes=MIB), EACH)


def test_without_a_word_a_sixteenth_of_the_memory_is_kept_free() -> None:
    bounds = Bounds(ready=1)
    assert fills(bounds, facts(available_bytes=GIB + EACH)) == 1
    assert fills(bounds, facts(available_bytes=GIB + EACH - 1)) == 0


@pytest.mark.parametrize(
    "words",
    [{"ready": -1}, {"ready": 3, "most": 2}, {"ready": 0, "most": 0}, {"at_once": 0}, {"max_load": 0.0},
     {"reserve_memory_bytes": -1}, {"reserve_disk_bytes": -1}],
)  # fmt: skip
def test_bounds_that_cannot_be_kept_are_refused(words: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        Bounds(**words)


def test_this_host_tells_its_facts(settings: Settings) -> None:
    told = facts_of(settings.paths)
    assert 0 < told.available_bytes <= told.memory_bytes
    assert told.disk_free_bytes > 0
