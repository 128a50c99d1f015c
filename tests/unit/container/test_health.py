"""Health: what probes make of it, by Docker's rules."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from firkin.container import record as records
from firkin.container.health import LOGGED, Health, HealthCheck, Probe
from firkin.container.health_record import health_of, put_health
from firkin.container.record import Created, Exited, Running
from firkin.container.spec import ContainerSpec
from firkin.errors import Corrupt
from firkin.paths import Paths
from firkin.process.spec import ExitStatus, ProcessSpec

S = 10**9
CHECK = HealthCheck(test=("CMD-SHELL", "true"), interval_s=10, retries=2)
PATIENT = msgspec.structs.replace(CHECK, start_period_s=30, start_interval_s=1)


def probe(at_s: float, *, ok: bool) -> Probe:
    return Probe(start_ns=int(at_s * S), end_ns=int(at_s * S), exit_code=0 if ok else 1, output="")


def after(check: HealthCheck, *probes: tuple[float, bool]) -> Health:
    health = Health(started_ns=0)
    for at_s, ok in probes:
        health = health.after(probe(at_s, ok=ok), check)
    return health


def test_one_success_is_healthy_and_so_many_failures_in_a_row_are_unhealthy() -> None:
    assert after(CHECK).status == "starting"
    assert after(CHECK, (1, True)).status == "healthy"
    once = after(CHECK, (1, True), (2, False))
    assert (once.status, once.failing_streak) == ("healthy", 1)
    assert after(CHECK, (1, True), (2, False), (3, True), (4, False)).status == "healthy"
    twice = after(CHECK, (1, False), (2, False))
    assert (twice.status, twice.failing_streak) == ("unhealthy", 2)
    well = after(CHECK, (1, False), (2, False), (3, True))
    assert (well.status, well.failing_streak) == ("healthy", 0)


def test_failures_do_not_count_in_the_start_period_before_the_first_success() -> None:
    early = after(PATIENT, *((second, False) for second in range(1, 30)))
    assert (early.status, early.failing_streak) == ("starting", 0)
    assert after(PATIENT, (1, False), (31, False), (32, False)).status == "unhealthy"
    assert after(PATIENT, (1, True), (2, False), (3, False)).status == "unhealthy", "it had been healthy"


def test_the_gap_is_the_start_interval_while_it_starts() -> None:
    starting, healthy = Health(started_ns=0), after(PATIENT, (1, True))
    assert PATIENT.gap_s(starting, 0, 5 * S) == 1
    assert PATIENT.gap_s(healthy, 0, 5 * S) == 10
    assert PATIENT.gap_s(starting, 0, 31 * S) == 10
    assert CHECK.gap_s(starting, 0, 0) == 10


def test_only_the_last_probes_are_kept() -> None:
    health = after(CHECK, *((second, True) for second in range(9)))
    assert len(health.log) == LOGGED
    assert health.log[-1].start_ns == 8 * S


def test_the_command_is_words_or_a_line_for_the_images_shell() -> None:
    assert HealthCheck(test=("CMD", "curl", "-f")).args == ("curl", "-f")
    assert HealthCheck(test=("CMD-SHELL", "a | b")).args == ("/bin/sh", "-c", "a | b")
    assert HealthCheck(test=("CMD-SHELL", "a"), shell=("/bin/bash", "-ec")).args == ("/bin/bash", "-ec", "a")


def test_what_is_on_record_of_an_earlier_start_says_nothing_of_this_one(tmp_path: Path) -> None:
    spec = ContainerSpec(
        id="a" * 64, name="web", image="i", image_digest="sha256:" + "0" * 64, rootfs_key="k",
        process=ProcessSpec(args=("true",)), created_ns=1, hostname="h", health=CHECK,
    )  # fmt: skip
    record, lock = records.create(Paths(tmp_path / "data", tmp_path / "run"), spec)
    with lock:
        assert record.spec() == spec
        first = Running(pid=1, started_ns=7, accelerator="tcg")
        assert health_of(record, Created()).status == "starting"
        assert health_of(record, first) == Health(started_ns=7)
        healthy = Health(started_ns=7).after(probe(1, ok=True), CHECK)
        put_health(record, healthy)
        assert health_of(record, first) == healthy
        ended = health_of(record, Exited(status=ExitStatus(code=0), started_ns=7, finished_ns=9))
        assert (ended.status, ended.log) == ("unhealthy", healthy.log)
        assert health_of(record, msgspec.structs.replace(first, started_ns=8)) == Health(started_ns=8)
        (record.dir / "health.json").write_text("{")
        with pytest.raises(Corrupt, match=r"health\.json"):
            health_of(record, first)
