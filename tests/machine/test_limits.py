"""Limits and use of a container: what the guest's kernel says of both."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

import firkin as api
from firkin.pytest.command import Command
from firkin.pytest.home import Home
from firkin.settings import Settings

pytestmark = pytest.mark.machine

# The container sees its own cgroup for the root of the hierarchy.
LOOK = "cd /sys/fs/cgroup; cat pids.max memory.max cpu.max /proc/self/cgroup; cat cgroup.procs | wc -l; nproc"
LIMITS = "cd /sys/fs/cgroup; cat pids.max memory.max cpu.max"
BUSY = "dd if=/dev/zero of=/big bs=1M count=4 2>/dev/null; sync"


@pytest.fixture
async def engine(stocked: Home, settings: Settings) -> AsyncIterator[api.AsyncEngine]:
    async with api.AsyncEngine(settings) as engine:
        yield engine


async def sh(container: api.AsyncContainer, script: str) -> list[str]:
    said = await container.exec(["sh", "-c", script]).output(text=True)
    assert not said.stderr, said.stderr
    return said.stdout.splitlines()


async def test_a_container_lives_in_a_cgroup_with_its_limits_and_is_counted_there(
    engine: api.AsyncEngine,
) -> None:
    async with await engine.run("busybox", ["sleep", "1000000"], cpus=1.5, pids_limit=12) as container:
        pids, memory, cpu, cgroup, count, processors = await sh(container, LOOK)
        assert (pids, memory, cpu, cgroup) == ("12", "max", "150000 100000", "0::/")
        assert int(count) >= 2
        assert processors == "2"
        host_config = container.inspect()["HostConfig"]
        assert (host_config["NanoCpus"], host_config["PidsLimit"]) == (1_500_000_000, 12)
        before = await container.stats()
        await sh(container, BUSY)
        after = await container.stats()
        assert after.cpu.usage_us > before.cpu.usage_us
        assert after.time_us > before.time_us
        assert after.io.write_bytes - before.io.write_bytes >= 4 << 20
        assert after.memory.file_bytes >= 4 << 20
        assert after.memory.peak_bytes is not None
        assert after.memory.peak_bytes >= after.memory.current_bytes > 0
        assert (after.pids.current, after.pids.limit) == (1, 12)
        assert after.cpu.online == 2
        assert after.memory.machine_bytes < 256 << 20
        assert "eth0" in {each.name for each in after.interfaces}
        assert after.vmm_rss_bytes > 1 << 20
        # More than its share of processes is refused to it, and it can still be looked after from outside.
        refused = await container.exec(
            ["sh", "-c", "for i in $(seq 20); do sleep 1000000 >/dev/null 2>&1 & done"]
        ).output()
        assert b"can't fork" in refused.stderr
        assert len(await container.top()) == (await container.stats()).pids.current == 11


async def test_limits_are_changed_while_it_runs_and_held_to_after_a_restart(engine: api.AsyncEngine) -> None:
    box = await engine.run("busybox", ["sleep", "1000000"], cpus=2, detach=True)
    async with box:
        assert await sh(box, LIMITS) == ["max", "max", "max 100000"]
        await box.update(cpus=0.5, memory="64m", pids_limit=20)
        limited = ["20", str(64 << 20), "50000 100000"]
        assert await sh(box, LIMITS) == limited
        with pytest.raises(api.UsageError, match="a machine does not grow"):
            await box.update(memory="1g")
        await sh(box, "dd if=/dev/zero of=/dev/shm/used bs=1M count=30 2>/dev/null")
        with pytest.raises(api.AgentError, match="in use"):
            await box.update(memory="20m", pids_limit=7)
        await box.restart(timeout=0)
        assert await sh(box, LIMITS) == limited, "what was refused is not on record"
        await box.update(pids_limit=-1, restart="on-failure:3")
        assert await sh(box, "cat /sys/fs/cgroup/pids.max") == ["max"]
        host_config = box.inspect()["HostConfig"]
        assert (host_config["NanoCpus"], host_config["Memory"], host_config["PidsLimit"]) == (
            500_000_000, 64 << 20, None,
        )  # fmt: skip
        assert host_config["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
        await box.stop(0)
        await box.update(cpus=1, memory="128m")
        await box.start()
        assert await sh(box, f"{LIMITS}; nproc") == ["max", "max", "max 100000", "1"]
        total = await sh(box, "sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")
        assert 64 << 10 < int(total[0]) < 128 << 10


def test_stats_are_shown_with_dockers_columns_and_fields(stocked: Home, firkin: Command) -> None:
    firkin("run", "-d", "--name", "used", "busybox", "sleep", "1000000", check=True)
    firkin("create", "--name", "idle", "busybox", "true", check=True)
    table = firkin("stats", "--no-stream", check=True).stdout.splitlines()
    assert table[0].split("  ")[0] == "CONTAINER ID"
    assert "MEM USAGE / LIMIT" in table[0]
    assert [line.split()[1] for line in table[1:]] == ["used"]
    rows = [
        json.loads(line)
        for line in firkin(
            "stats", "--all", "--no-stream", "--format", "json", check=True
        ).stdout.splitlines()
    ]
    shown = {row["Name"]: row for row in rows}
    assert shown["idle"]["CPUPerc"] == "--"
    assert shown["used"]["PIDs"] == 1
    assert shown["used"]["CPUPerc"].endswith("%")
    assert {"BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name", "NetIO", "PIDs"} <= set(
        shown["used"]
    )
    assert firkin("top", "used", "-eo", "pid,comm", check=True).stdout.split() == [
        "PID",
        "COMMAND",
        "1",
        "sleep",
    ]
    headings, line = (each.split() for each in firkin("top", "used", "aux", check=True).stdout.splitlines())
    process = dict(zip(headings, line, strict=False))
    assert (process["USER"], process["PID"], process["COMMAND"]) == ("0", "1", "sleep")
    assert int(process["VSZ"]) > int(process["RSS"]) > 0
    age = firkin("top", "used", "-o", "etimes", check=True).stdout.split()[1]
    assert 0 <= int(age) < 3600
    assert firkin("top", "used", "--forest").status == 125
    unknown = firkin("stats", "--no-stream", "nobody")
    assert unknown.status == 125
    assert "nobody" in unknown.stderr
    firkin("rm", "-f", "used", "idle", check=True)
