"""What the kernel tells of what is left, whichever of its ways it has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firkin.errors import HostUnsupported
from firkin.linux.pressure import Memory, load, memory, memory_stall

GIB = 1 << 30


def host(root: Path, cgroup: str = "", **files: str) -> Path:
    """A /proc of 8 GiB, 6 of them available, and `files` below `root` ("__" is "/")."""
    written = {
        "proc/meminfo": "MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 6291456 kB\n",
        "proc/self/cgroup": cgroup,
    } | {name.replace("__", "/"): text for name, text in files.items()}
    for name, text in written.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def group(root: Path, directory: str, limit: str, used: int, **stat: int) -> None:
    """A control group of version 2, or of version 1 below `memory`."""
    v1 = "/memory" in directory
    path = root / "sys/fs/cgroup" / directory.lstrip("/")
    path.mkdir(parents=True, exist_ok=True)
    (path / ("memory.limit_in_bytes" if v1 else "memory.max")).write_text(limit + "\n")
    (path / ("memory.usage_in_bytes" if v1 else "memory.current")).write_text(f"{used}\n")
    (path / "memory.stat").write_text("".join(f"{name} {value}\n" for name, value in stat.items()))


def test_without_a_limit_all_that_is_available_may_be_taken(tmp_path: Path) -> None:
    assert memory(host(tmp_path)) == Memory(8 * GIB, 6 * GIB)


def test_a_control_group_gives_what_its_limit_leaves_and_what_it_can_give_back(tmp_path: Path) -> None:
    host(tmp_path, "0::/user/box\n")
    group(tmp_path, "/user/box", str(2 * GIB), GIB, inactive_file=GIB // 2, active_file=GIB)
    assert memory(tmp_path) == Memory(2 * GIB, 3 * GIB // 2)


def test_a_limit_of_a_group_above_ours_holds_too(tmp_path: Path) -> None:
    host(tmp_path, "0::/user/box\n")
    group(tmp_path, "/user/box", "max", GIB, inactive_file=0)
    group(tmp_path, "/user", str(GIB), GIB, inactive_file=0)
    assert memory(tmp_path) == Memory(GIB, 0)


@pytest.mark.parametrize("line", ["4:memory:/jail\n", "4:cpu,memory:/jail\n0::/\n"])
def test_the_old_kind_of_control_group_is_obeyed(tmp_path: Path, line: str) -> None:
    host(tmp_path, f"7:blkio:/elsewhere\n{line}")
    group(tmp_path, "/memory/jail", str(GIB), 2 * GIB, total_inactive_file=0)
    group(tmp_path, "/memory", str(1 << 62), 2 * GIB, total_inactive_file=0)
    assert memory(tmp_path) == Memory(GIB, 0)


@pytest.mark.parametrize("line", ["0::/../../outside\n", "0::/gone\n"])
def test_a_group_that_cannot_be_seen_limits_nothing(tmp_path: Path, line: str) -> None:
    assert memory(host(tmp_path, line)) == Memory(8 * GIB, 6 * GIB)


def test_without_proc_there_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(HostUnsupported, match="meminfo does not tell"):
        memory(tmp_path)


def test_load_and_stalls_are_read_and_are_nothing_where_they_are_not_told(tmp_path: Path) -> None:
    assert (load(tmp_path), memory_stall(tmp_path)) == (0.0, 0.0)
    stall = "some avg10=12.50 avg60=1.00 avg300=0.10 total=1\nfull avg10=3.00 avg60=0 avg300=0 total=1\n"
    host(tmp_path, proc__loadavg="1.75 0.50 0.25 2/100 4242\n", proc__pressure__memory=stall)
    assert (load(tmp_path), memory_stall(tmp_path)) == (1.75, 0.125)


def test_this_host_tells_of_itself() -> None:
    told = memory()
    assert (
        0
        <= told.available_bytes
        <= told.total_bytes
        <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    )
    assert load() >= 0.0
    assert 0.0 <= memory_stall() <= 1.0
