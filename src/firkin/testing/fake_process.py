"""A process of the host that the fake agent pretends to run in a machine."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from typing import Any

from firkin.wire import messages as wire


class Refusal(Exception):
    """The fake agent says no."""

    def __init__(self, failure: wire.Failure) -> None:
        super().__init__(failure)
        self.failure = failure


class FakeProcess:
    """A child, watched through its pidfd. `exit` is the map that the exit event carries."""

    def __init__(
        self, op: wire.Spawn, child: subprocess.Popen[bytes], on_exit: Callable[[FakeProcess], None]
    ) -> None:
        self.op = op
        self.container = op.container
        self.pid = child.pid
        self.exit: dict[str, Any] | None = None
        self.reaped = asyncio.Event()
        self.stdin_fd = self.stdout_fd = self.stderr_fd = -1
        self.terminal_fd = -1
        self._child = child
        self._on_exit = on_exit
        self._pidfd = os.pidfd_open(child.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        status = self._child.wait()
        self.exit = {
            "code": status if status >= 0 else None,
            "signal": -status if status < 0 else None,
            "core": False,
            "time_ns": time.time_ns(),
        }
        if self.terminal_fd >= 0:
            os.close(self.terminal_fd)
            self.terminal_fd = -1
        self.reaped.set()
        self._on_exit(self)

    def send_signal(self, number: int, *, group: bool = False) -> None:
        if self.exit is None:
            os.kill(-self.pid if group else self.pid, number)

    def kill(self) -> None:
        """End it and whatever it started in its session."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def resize(self, rows: int, cols: int) -> None:
        if self.terminal_fd < 0:
            raise Refusal(wire.Failure(errno=errno.ENOTTY, step="resize", object=str(self.op.proc)))
        fcntl.ioctl(self.terminal_fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def row(self) -> dict[str, Any]:
        numbers = ("ppid", "uid", "gid", "utime_ticks", "stime_ticks", "start_ticks", "age_ticks")
        sizes = ("rss_bytes", "vsz_bytes")
        return {
            "pid": self.pid,
            "state": "S",
            "tty": "?",
            "comm": self.op.args[0][:15],
            "args": self.op.args,
            **dict.fromkeys((*numbers, *sizes), 0),
        }


def start(op: wire.Spawn, on_exit: Callable[[FakeProcess], None]) -> FakeProcess:
    """Start what `op` asks for. Raises Refusal where the real agent would."""
    _check_user(op.user)
    return _on_terminal(op, op.terminal, on_exit) if op.terminal else _on_pipes(op, on_exit)


def _check_user(user: str) -> None:
    name = user.partition(":")[0]
    if name not in ("", "root") and not name.isdigit():
        raise Refusal(wire.Failure(errno=errno.ENOENT, step="lookup user", object=name))


def _on_pipes(op: wire.Spawn, on_exit: Callable[[FakeProcess], None]) -> FakeProcess:
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    merged = op.stderr and op.stderr == op.stdout
    child = _popen(
        op,
        stdin=pipe if op.stdin else null,
        stdout=pipe if op.stdout else null,
        stderr=subprocess.STDOUT if merged else pipe if op.stderr else null,
    )
    process = FakeProcess(op, child, on_exit)
    for name in ("stdin", "stdout", "stderr"):
        if file := getattr(child, name):
            setattr(process, f"{name}_fd", os.dup(file.fileno()))
            file.close()
    return process


def _on_terminal(
    op: wire.Spawn, terminal: wire.Terminal, on_exit: Callable[[FakeProcess], None]
) -> FakeProcess:
    ours, theirs = os.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", terminal.rows, terminal.cols, 0, 0))
    try:
        child = _popen(
            op,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
    except Refusal:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    process = FakeProcess(op, child, on_exit)
    process.terminal_fd = ours
    process.stdin_fd = os.dup(ours) if op.stdin else -1
    process.stdout_fd = os.dup(ours) if op.stdout else -1
    return process


def _popen(op: wire.Spawn, **files: Any) -> subprocess.Popen[bytes]:
    environment = dict(each.partition("=")[::2] for each in op.env)
    program = op.args[0]
    try:
        return subprocess.Popen(
            op.args,
            env=environment,
            cwd=op.cwd if os.path.isdir(op.cwd) else "/",
            umask=op.umask,
            start_new_session=True,
            **files,
        )
    except OSError as error:
        number = error.errno or errno.EIO
        raise Refusal(wire.Failure(errno=number, step="exec", object=program)) from error
