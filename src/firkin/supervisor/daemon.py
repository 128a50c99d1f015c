"""Leaving whoever started us: no terminal, no parent that waits, no stream of theirs held open.

client ──spawn──► starter ──fork──► supervisor      the starter ends once the supervisor serves
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

_READY = b"ready"
_MAX_LOG_BYTES = 1 << 20


class Starter:
    """The process that waits until we serve."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def ready(self) -> None:
        """Let it end well."""
        os.write(self._fd, _READY)
        os.close(self._fd)


def detach(log_path: Path) -> Starter:
    """Go on in a child of a session of its own, standing in /, with `log_path` for both outputs.

    The caller's process ends here, when the child is ready or has failed; then with status 1, and what the
    child has said by then on its standard error. One that systemd's took the place of has not failed.
    """
    waiting_fd, ready_fd = os.pipe()
    if pid := os.fork():
        os.close(ready_fd)
        _end_with(pid, waiting_fd, log_path)
    os.close(waiting_fd)
    os.setsid()
    os.chdir("/")
    _redirect(log_path)
    return Starter(ready_fd)


def _redirect(log_path: Path) -> None:
    if log_path.exists() and log_path.stat().st_size > _MAX_LOG_BYTES:
        log_path.rename(log_path.with_suffix(".log.old"))
    log_fd = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    null_fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null_fd, 0)
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    os.close(null_fd)
    os.close(log_fd)


def _end_with(pid: int, waiting_fd: int, log_path: Path) -> None:
    if os.read(waiting_fd, len(_READY)) == _READY:
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGTERM:
        os._exit(0)
    try:
        said = log_path.read_bytes()[-2000:].decode(errors="replace").strip()
    except OSError:
        said = ""
    sys.stderr.write(said.rpartition("\n")[2] + "\n")
    sys.stderr.flush()
    os._exit(1)
