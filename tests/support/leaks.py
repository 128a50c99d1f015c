"""What a test left behind: processes, mounts, sockets and files that carry the name of its home."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SUPERVISOR = "firkin.supervisor"


@dataclass(frozen=True, slots=True)
class Leftover:
    """A process that still lives, and its command line."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"process {self.pid}: {self.command[:300]}"


def processes_of(mark: str) -> Iterator[Leftover]:
    """Every other process, not a test worker, whose environment or command line has `mark` in it."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in (os.getpid(), os.getppid()):
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            environment = (entry / "environ").read_bytes().decode(errors="replace")
        except OSError:  # it ended meanwhile, or is not ours to read
            continue
        named = mark in command or f"{mark}\0" in environment or f"{mark}/" in environment
        if command and named and "execnet" not in command:
            yield Leftover(int(entry.name), command)


def wait_until_gone(pids: list[int], deadline_s: float) -> None:
    """Return when all `pids` have ended, or `deadline_s` seconds have passed."""
    end = time.monotonic() + deadline_s
    for pid in pids:
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
            finally:
                os.close(descriptor)


def dismiss_supervisor(mark: str) -> None:
    """Ask the supervisor of a home to leave, as the end of a login session would, and see it gone."""
    pids = [found.pid for found in processes_of(mark) if SUPERVISOR in found.command]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    wait_until_gone(pids, 10.0)


def end_leftovers(mark: str, grace_s: float = 3.0) -> list[Leftover]:
    """The processes of `mark` that are still there after `grace_s`; they are killed."""
    wait_until_gone([found.pid for found in processes_of(mark)], grace_s)
    leftovers = list(processes_of(mark))
    for found in leftovers:
        with suppress(ProcessLookupError):
            os.kill(found.pid, signal.SIGKILL)
    wait_until_gone([found.pid for found in leftovers], 5.0)
    return leftovers


def mounts_of(mark: str) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if mark in line]
