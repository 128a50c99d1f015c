"""Control groups: where they may be made, what is written and read there, on hierarchies that are files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from firkin.linux.cgroup import group as groups
from firkin.linux.cgroup import places
from firkin.linux.cgroup.counts import Counts, counts_of
from firkin.linux.cgroup.group import Group, Unheld, group_of
from firkin.linux.cgroup.limits import UNLIMITED, Limits, settings

M = 1 << 20
V2 = "35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:30 / /sys/fs/cgroup/memory rw shared:3 - cgroup cgroup rw,memory\n"
    "34 31 0:31 /box /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
    "35 31 0:32 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n"
    "36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)


def host(root: Path, mounts: str, groups: str) -> Path:
    """A root whose /proc tells of `mounts` and of the `groups` that we are in."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda rw\n" + mounts)
    (root / "proc/self/cgroup").write_text(groups)
    return root


def directory(root: Path, path: str, **files: str) -> Path:
    """A group, with the files that the kernel puts there; a name's __ stands for its dot."""
    made = root / "sys/fs/cgroup" / path
    made.mkdir(parents=True, exist_ok=True)
    for name, text in {"cgroup__procs": "", **files}.items():
        (made / name.replace("__", ".")).write_text(text)
    return made


def divided(root: Path, path: str = "user.slice/own", controllers: str = "cpu memory pids") -> Path:
    return directory(root, path, cgroup__controllers=controllers, cgroup__subtree_control="")


def test_version_1_has_a_group_in_each_hierarchy_that_is_ours(tmp_path: Path) -> None:
    root = host(tmp_path, V1, "4:pids:/box/in\n3:memory:/a\n2:cpu,cpuacct:/a\n1:blkio:/elsewhere\n0::/\n")
    cpu, memory, pids = (directory(root, each) for each in ("cpu,cpuacct/a", "memory/a", "pids/in"))
    found = places.here(root)
    assert found == places.Places(
        1, {"cpu": str(cpu), "cpuacct": str(cpu), "memory": str(memory), "pids": str(pids)}
    )
    assert found.lack("memory") is None
    assert found.lack("cpuset") == "controllers"
    made = group_of(found, "firkin-1")
    assert made is not None
    assert made.directories == (f"{cpu}/firkin-1", f"{memory}/firkin-1", f"{pids}/firkin-1")


def test_version_2_has_one_for_all_and_is_left_for_a_group_inside(tmp_path: Path) -> None:
    root = host(tmp_path, V2, "0::/user.slice/own\n")
    own = divided(root)
    found = places.here(root)
    assert found.version == 2
    assert set(found.dirs) == {"cpu", "memory", "pids", "cpuacct", "freezer"}
    assert set(found.dirs.values()) == {str(own)}
    (root / "proc/self/cgroup").write_text(f"0::/user.slice/own/{places.OURS}\n")
    directory(root, f"user.slice/own/{places.OURS}")
    assert places.here(root) == found, "once we stand aside, groups are made where they were before"


@pytest.mark.parametrize(
    ("mounts", "own", "lack"),
    [("", "0::/\n", "absent"), (V2, "0::/nobody/there\n", "undelegated"), (V1, "0::/\n", "undelegated")],
)
def test_what_is_missing_is_told(tmp_path: Path, mounts: str, own: str, lack: str) -> None:
    assert places.here(host(tmp_path, mounts, own)).lack("memory") == lack


def test_under_systemd_only_a_delegated_group_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = host(tmp_path, V2, "0::/user.slice/own\n")
    own = divided(root)
    (root / "run/systemd/system").mkdir(parents=True)
    said: dict[str, bytes] = {}

    def attribute(path: Path, name: str) -> bytes:
        if path != own or name not in said:
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
        return said[name]

    monkeypatch.setattr(os, "getxattr", attribute)
    assert places.here(root).lack("memory") == "undelegated"
    said["user.delegate"] = b"1"
    assert places.here(root).lack("memory") is None


def test_whoever_hands_down_controllers_steps_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's rules of a group of version 2, on files: EBUSY while a process is in it."""
    root = host(tmp_path, V2, "0::/user.slice/own\n")
    own = divided(root)
    (own / "cgroup.procs").write_text("11\n12\n")
    kernel_write = groups.write

    def write(path: Path, text: str) -> None:
        if path == own / "cgroup.subtree_control":
            if (own / "cgroup.procs").read_text():
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            path.write_text(path.read_text() + text.replace("+", " "))
        elif path.name == "cgroup.procs":
            left = [each for each in (own / "cgroup.procs").read_text().split() if each != text]
            (own / "cgroup.procs").write_text("\n".join(left))
            path.write_text((path.read_text() if path.exists() else "") + text + "\n")
        else:
            kernel_write(path, text)

    monkeypatch.setattr(groups, "write", write)
    made = group_of(places.here(root), "firkin-1")
    assert made is not None
    made.make()
    assert (own / places.OURS / "cgroup.procs").read_text().split() == ["11", "12"]
    assert (own / "cgroup.subtree_control").read_text().split() == ["cpu", "memory", "pids"]
    assert (own / "firkin-1").is_dir()


EVERYTHING = Limits(cpus=1.5, memory_bytes=64 * M, pids=9, memory_swap_bytes=96 * M, cpuset="0-1", shares=512)


@pytest.mark.parametrize(
    ("version", "texts"),
    [
        (
            1,
            {
                "cpu.cfs_period_us": "100000",
                "cpu.cfs_quota_us": "150000",
                "cpu.shares": "512",
                "cpuset.cpus": "0-1",
                "memory.limit_in_bytes": str(64 * M),
                "memory.memsw.limit_in_bytes": str(96 * M),
                "pids.max": "9",
            },
        ),
        (
            2,
            {
                "cpu.max": "150000 100000",
                "cpu.weight": "20",
                "cpuset.cpus": "0-1",
                "memory.max": str(64 * M),
                "memory.swap.max": str(32 * M),
                "pids.max": "9",
            },
        ),
    ],
)
def test_each_limit_has_its_files(version, texts) -> None:
    assert {each.file: each.text for each in settings(version, EVERYTHING)} == texts
    assert settings(version, EVERYTHING, EVERYTHING) == ()
    lifted = {each.file: each.text for each in settings(version, UNLIMITED, EVERYTHING)}
    assert lifted.keys() >= texts.keys() - {"cpu.cfs_period_us"}
    assert lifted["pids.max"] == "max"


def test_memory_and_swap_of_version_1_change_in_the_order_that_the_kernel_takes() -> None:
    less, more = (
        Limits(memory_bytes=M, memory_swap_bytes=M),
        Limits(memory_bytes=9 * M, memory_swap_bytes=9 * M),
    )
    alone, both = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
    assert [each.file for each in settings(1, more, less)] == [both, alone]
    assert [each.file for each in settings(1, less, more)] == [alone, both]
    assert [each.file for each in settings(1, less)] == [alone, both]


def test_memory_of_version_2_is_not_taken_by_killing(tmp_path: Path) -> None:
    files = {"memory__current": str(50 * M), "memory__max": "max", "memory__reclaim": ""}
    there = directory(tmp_path, "c", **files)
    group = Group(2, {"memory": str(there)})
    with pytest.raises(Unheld) as refused:
        group.hold(Limits(memory_bytes=20 * M))
    assert (refused.value.errno, refused.value.setting.field) == (errno.EBUSY, "memory")
    assert (there / "memory.max").read_text() == "max"
    assert (there / "memory.reclaim").read_text() == str(30 * M), "what was only cached was asked for"
    group.hold(Limits(memory_bytes=60 * M))
    assert (there / "memory.max").read_text() == str(60 * M)


def test_a_limit_without_its_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    group = Group(1, {"memory": str(directory(tmp_path, "c", memory__limit_in_bytes=""))})
    with pytest.raises(Unheld) as refused:
        group.hold(Limits(memory_bytes=M, memory_swap_bytes=M))
    assert refused.value.setting.file == "memory.memsw.limit_in_bytes"
    with pytest.raises(Unheld) as refused:
        group.hold(Limits(pids=2))
    assert refused.value.setting.controller == "pids"


def test_version_2_is_counted_by_its_files(tmp_path: Path) -> None:
    there = directory(
        tmp_path, "c",
        cpu__stat="usage_usec 30\nuser_usec 20\nsystem_usec 10\n"
        "nr_periods 4\nnr_throttled 3\nthrottled_usec 2\n",
        memory__current="100\n", memory__max="max\n", memory__peak="120\n",
        memory__stat="anon 50\nfile 40\nkernel 10\ninactive_file 30\n", memory__events="oom 1\noom_kill 2\n",
        io__stat="254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=9\n"
        "254:16 rbytes=10 wbytes=20 rios=30 wios=40\n",
        pids__current="5\n", pids__max="9\n",
    )  # fmt: skip
    every = {each: str(there) for each in ("cpu", "cpuacct", "memory", "io", "pids", "freezer")}
    assert counts_of(Group(2, every)) == Counts(  # type: ignore[arg-type]  # its keys are controllers
        usage_us=30, user_us=20, system_us=10, periods=4, throttled_periods=3, throttled_us=2,
        current_bytes=100, peak_bytes=120, limit_bytes=None, anon_bytes=50, file_bytes=40,
        inactive_file_bytes=30, kernel_bytes=10, oom_kills=2,
        read_bytes=11, write_bytes=22, read_ops=33, write_ops=44, pids=5, pids_limit=9,
    )  # fmt: skip
    assert counts_of(Group(2, {"freezer": str(there)})) == Counts(), "what no controller counts is not told"


def test_version_2_freezes_by_one_file_and_tells_by_another(tmp_path: Path) -> None:
    there = directory(tmp_path, "c", cgroup__freeze="0", cgroup__events="populated 1\nfrozen 0\n")
    group = Group(2, {"freezer": str(there)})
    group.set_frozen(True)
    assert (there / "cgroup.freeze").read_text() == "1"
    assert not group.is_frozen()
    (there / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    assert group.is_frozen()
