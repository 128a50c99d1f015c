"""What a test left behind: processes, mounts, sockets and files that carry the name of its home."""

from __future__ import annotations

import os
import re
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
    """Every other process, not a test worker, that has `mark`, a path, in its environment or command line, or
    a file below it open.
    """
    named = re.compile(re.escape(mark.encode()) + rb"(?![\w.])")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in (os.getpid(), os.getppid()):
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            if not command or b"execnet" in command:
                continue
            texts = [command, (entry / "environ").read_bytes(), *_open_files(entry)]
        except OSError:  # it ended meanwhile, or is not ours to read
            continue
        if any(map(named.search, texts)):
            shown = command.replace(b"\0", b" ").decode(errors="replace").strip()
            yield Leftover(int(entry.name), shown)


def _open_files(entry: Path) -> Iterator[bytes]:
    """The paths that a process stands in or has open. Raises OSError."""
    yield os.readlink(os.fsencode(entry / "cwd"))
    for fd in os.listdir(entry / "fd"):
        with suppress(FileNotFoundError):
            yield os.readlink(os.fsencode(entry / "fd" / fd))


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
