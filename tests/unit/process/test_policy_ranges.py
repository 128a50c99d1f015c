"""Policies that somebody else wrote down: what no process can have is found, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from firkin.process import capabilities
from firkin.process.policy import UNLIMITED, IoPriority, ProcessPolicy, Scheduler
from firkin.process.policy_ranges import out_of_range
from firkin.wire.privileges import Rlimit

NONE = capabilities.granted(0)


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({}, ""),
        ({"umask": 0o777, "oom_score_adj": -1000, "selinux": "a:b:c:s0"}, ""),
        ({"capabilities": capabilities.granted(capabilities.ALL)}, ""),
        ({"rlimits": (Rlimit(type=15, soft=0, hard=UNLIMITED),)}, ""),
        ({"scheduler": Scheduler(policy="SCHED_FIFO", priority=49)}, ""),
        ({"io_priority": IoPriority(io_class="IOPRIO_CLASS_IDLE")}, ""),
        ({"umask": -1}, "umask"),
        ({"oom_score_adj": 1001}, "oom_score_adj"),
        ({"capabilities": capabilities.granted(capabilities.ALL + 1)}, "capabilities.bounding"),
        ({"capabilities": msgspec.structs.replace(NONE, effective=1)}, "capabilities.effective"),
        ({"capabilities": msgspec.structs.replace(NONE, ambient=1, permitted=1)}, "capabilities.ambient"),
        ({"rlimits": (Rlimit(type=16, soft=0, hard=0),)}, "rlimits"),
        ({"rlimits": (Rlimit(type=-1, soft=0, hard=0),)}, "rlimits"),
        ({"rlimits": (Rlimit(type=0, soft=1, hard=0),)}, "rlimits"),
        ({"rlimits": (Rlimit(type=0, soft=0, hard=UNLIMITED + 1),)}, "rlimits"),
        ({"rlimits": (Rlimit(type=0, soft=0, hard=0),) * 17}, "rlimits"),
        ({"selinux": "\x1b[2J"}, "selinux"),
        ({"apparmor": "a" * 256}, "apparmor"),
        ({"scheduler": Scheduler(policy="SCHED_DEADLINE")}, "scheduler"),
        ({"scheduler": Scheduler(policy="SCHED_RR", priority=50)}, "scheduler"),
        ({"scheduler": Scheduler(nice=20)}, "scheduler"),
        ({"scheduler": Scheduler(flags=("X",))}, "scheduler"),
        ({"io_priority": IoPriority(io_class="X")}, "io_priority"),
        ({"io_priority": IoPriority(io_class="IOPRIO_CLASS_BE", priority=8)}, "io_priority"),
    ],
)
def test_the_first_field_that_no_process_can_have_is_named(words: dict[str, Any], field: str) -> None:
    assert out_of_range(ProcessPolicy(**words)).rpartition(" for ")[2] == field
