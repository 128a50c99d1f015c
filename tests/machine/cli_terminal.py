"""A person at a terminal: types, waits for what should appear, changes the window's size."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

PATIENCE_S = 30.0


@dataclass
class Terminal:
    """A command on a terminal of its own. `seen` is everything that it showed."""

    master: int
    child: subprocess.Popen[bytes]
    seen: str = ""
    _at: int = field(default=0)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def until(self, pattern: str) -> re.Match[str]:
        """Wait for `pattern` after what the last call found."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := re.compile(pattern, re.DOTALL).search(self.seen, self._at)) is None:
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.seen[self._at :]!r}"
            assert self._read(deadline), f"ended without {pattern!r}: {self.seen[self._at :]!r}"
        self._at = found.end()
        return found

    def resize(self, rows: int, columns: int) -> None:
        """As a window manager does; the kernel sends SIGWINCH."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def signal(self, number: int) -> None:
        self.child.send_signal(number)

    def wait(self) -> int:
        """The exit status as a shell would say it, after everything was shown."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(deadline):
            assert time.monotonic() < deadline, f"still running, having shown {self.seen!r}"
        status = self.child.wait(PATIENCE_S)
        return status if status >= 0 else 128 - status

    def modes(self) -> list[object]:
        """How the terminal is set."""
        return termios.tcgetattr(self.master)

    def _read(self, deadline: float) -> bool:
        if select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # EIO: nobody has the terminal open any more
                return False
            self.seen += data.decode(errors="backslashreplace")
            return bool(data)
        return True


@contextmanager
def on_terminal(
    argv: Sequence[str], environ: Mapping[str, str], *, rows: int = 24, columns: int = 80
) -> Iterator[Terminal]:
    """`argv` as the foreground of a new terminal; killed when the block ends before it."""
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def control() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    child = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=environ, preexec_fn=control)
    os.close(slave)
    try:
        yield Terminal(master, child)
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            child.wait()
        os.close(master)
