"""Asking a child: a question about the kernel whose trial would change or hang whoever tries it.

The rule: the child makes system calls and answers in one write; the parent waits no longer than the deadline.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable

from firkin.linux.fork import fork

_MOST_BYTES = 4096  # PIPE_BUF: one write, whole
_REAP_S = 0.2


def ask(trial: Callable[[], bytes], timeout_s: float) -> bytes:
    """What `trial` answers in a forked child; b"" where it died or had no answer in time. Raises OSError."""
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    with os.fdopen(read_fd, "rb", buffering=0) as answer:
        try:
            pid = fork()
            if pid == 0:
                _answer(trial, write_fd)
        finally:
            os.close(write_fd)
        try:
            ready = select.select([answer], [], [], timeout_s)[0]
            return answer.read(_MOST_BYTES) if ready else b""
        finally:
            os.kill(pid, signal.SIGKILL)
            _reap(pid)


def _answer(trial: Callable[[], bytes], write_fd: int) -> None:
    """The child's whole life. Never returns."""
    try:
        os.write(write_fd, trial()[:_MOST_BYTES])
    finally:
        os._exit(0)


def _reap(pid: int) -> None:
    """A child that is stuck in the kernel may not die at once: it is not waited for longer than that."""
    end = time.monotonic() + _REAP_S
    while not os.waitpid(pid, os.WNOHANG)[0] and time.monotonic() < end:
        time.sleep(0.001)
