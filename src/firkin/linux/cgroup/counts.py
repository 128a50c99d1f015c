"""Counts: what the kernel has counted in a group. What no controller counts is 0."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from firkin.linux.cgroup.group import Group
from firkin.linux.cgroup.limits import Controller

_NO_LIMIT = 1 << 62
"""Version 1 tells of none by a number about as large as there are."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Times in microseconds."""

    usage_us: int = 0
    user_us: int = 0
    system_us: int = 0
    periods: int = 0
    throttled_periods: int = 0
    throttled_us: int = 0
    current_bytes: int = 0
    peak_bytes: int | None = None
    limit_bytes: int | None = None
    anon_bytes: int = 0
    file_bytes: int = 0
    inactive_file_bytes: int = 0
    kernel_bytes: int = 0
    oom_kills: int = 0
    read_bytes: int = 0
    write_bytes: int = 0
    read_ops: int = 0
    write_ops: int = 0
    pids: int = 0
    pids_limit: int | None = None


def counts_of(group: Group) -> Counts:
    """What it has counted until now."""
    files = _Files(group)
    return _of_version_1(files) if group.version == 1 else _of_version_2(files)


class _Files:
    """A group's files, read as they are asked for; one that is not there is empty."""

    def __init__(self, group: Group) -> None:
        self._dirs = group.dirs

    def text(self, controller: Controller, file: str) -> str:
        directory = self._dirs.get(controller)
        try:
            return "" if directory is None else Path(directory, file).read_text()
        except OSError:
            return ""

    def number(self, controller: Controller, file: str) -> int | None:
        """None where it is not there, or says "max"."""
        text = self.text(controller, file).strip()
        return int(text) if text.isascii() and text.isdigit() else None

    def table(self, controller: Controller, file: str) -> dict[str, int]:
        """Of lines such as `key 12`."""
        words = (line.split() for line in self.text(controller, file).splitlines())
        return {each[0]: int(each[1]) for each in words if len(each) == 2 and each[1].isdigit()}


def _of_version_1(files: _Files) -> Counts:
    times, cpu = files.table("cpuacct", "cpuacct.stat"), files.table("cpu", "cpu.stat")
    memory = files.table("memory", "memory.stat")
    bytes_, ops = (_blkio(files, f"blkio.throttle.io_{each}") for each in ("service_bytes", "serviced"))
    tick_us = 1_000_000 // os.sysconf("SC_CLK_TCK")
    limit = files.number("memory", "memory.limit_in_bytes")
    return Counts(
        usage_us=(files.number("cpuacct", "cpuacct.usage") or 0) // 1000,
        user_us=times.get("user", 0) * tick_us,
        system_us=times.get("system", 0) * tick_us,
        periods=cpu.get("nr_periods", 0),
        throttled_periods=cpu.get("nr_throttled", 0),
        throttled_us=cpu.get("throttled_time", 0) // 1000,
        current_bytes=files.number("memory", "memory.usage_in_bytes") or 0,
        peak_bytes=files.number("memory", "memory.max_usage_in_bytes"),
        limit_bytes=None if limit is None or limit >= _NO_LIMIT else limit,
        anon_bytes=memory.get("total_rss", 0),
        file_bytes=memory.get("total_cache", 0),
        inactive_file_bytes=memory.get("total_inactive_file", 0),
        kernel_bytes=files.number("memory", "memory.kmem.usage_in_bytes") or 0,
        oom_kills=files.table("memory", "memory.oom_control").get("oom_kill", 0),
        read_bytes=bytes_.get("Read", 0),
        write_bytes=bytes_.get("Write", 0),
        read_ops=ops.get("Read", 0),
        write_ops=ops.get("Write", 0),
        pids=files.number("pids", "pids.current") or 0,
        pids_limit=files.number("pids", "pids.max"),
    )


def _blkio(files: _Files, file: str) -> dict[str, int]:
    """Lines such as `254:0 Read 4096`, for each device."""
    sums: dict[str, int] = {}
    for line in files.text("io", file).splitlines():
        words = line.split()
        if len(words) == 3 and words[2].isdigit():
            sums[words[1]] = sums.get(words[1], 0) + int(words[2])
    return sums


def _of_version_2(files: _Files) -> Counts:
    cpu, memory = files.table("cpuacct", "cpu.stat"), files.table("memory", "memory.stat")
    io = _io_stat(files.text("io", "io.stat"))
    return Counts(
        usage_us=cpu.get("usage_usec", 0),
        user_us=cpu.get("user_usec", 0),
        system_us=cpu.get("system_usec", 0),
        periods=cpu.get("nr_periods", 0),
        throttled_periods=cpu.get("nr_throttled", 0),
        throttled_us=cpu.get("throttled_usec", 0),
        current_bytes=files.number("memory", "memory.current") or 0,
        peak_bytes=files.number("memory", "memory.peak"),
        limit_bytes=files.number("memory", "memory.max"),
        anon_bytes=memory.get("anon", 0),
        file_bytes=memory.get("file", 0),
        inactive_file_bytes=memory.get("inactive_file", 0),
        kernel_bytes=memory.get("kernel", 0),
        oom_kills=files.table("memory", "memory.events").get("oom_kill", 0),
        read_bytes=io.get("rbytes", 0),
        write_bytes=io.get("wbytes", 0),
        read_ops=io.get("rios", 0),
        write_ops=io.get("wios", 0),
        pids=files.number("pids", "pids.current") or 0,
        pids_limit=files.number("pids", "pids.max"),
    )


def _io_stat(text: str) -> dict[str, int]:
    """Lines such as `254:0 rbytes=1 wbytes=2 rios=3 wios=4`, for each device."""
    sums: dict[str, int] = {}
    for word in text.split():
        key, _, value = word.partition("=")
        if value.isdigit():
            sums[key] = sums.get(key, 0) + int(value)
    return sums
