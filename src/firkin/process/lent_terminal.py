"""LentTerminal: the terminal of this program, lent to a process that has one: its keys pass unseen (raw mode,
termios(3)), and its size is the process's.

The rule: it is given back as it was when the process has written its last, when nobody copies any more, and
at the end of this program, whichever comes first. This program's signal handlers are its own: the size is
looked at again and again, from whatever thread, and SIGWINCH is left alone.
"""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import os
import termios
import tty
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from firkin.process.protocol import Process
from firkin.process.spec import TerminalSize
from firkin.process.terminal import size

_LOOK_S = 0.2


class LentTerminal:
    """One that `fd` is a descriptor of; that is closed at its end. Made by found()."""

    def __init__(self, fd: int, *, keys: bool) -> None:
        self._fd = fd
        self._keys = keys
        self._before: list[Any] | None = None
        self._following: asyncio.Task[None] | None = None

    @classmethod
    def found(cls, fds: Mapping[str, int]) -> LentTerminal | None:
        """That of standard input, else of standard output; None where neither of `fds` is one."""
        for name in ("stdin", "stdout"):
            if name in fds and os.isatty(fds[name]):
                return cls(fcntl.fcntl(fds[name], fcntl.F_DUPFD_CLOEXEC, 3), keys=name == "stdin")
        return None

    @property
    def size(self) -> TerminalSize | None:
        """What it is now; None where it does not know."""
        return size(self._fd)

    def begin(self, process: Process, told: TerminalSize | None) -> None:
        """`process` has it now, whose own was made of the size `told`; for None it keeps what it has."""
        if self._keys:
            self._before = termios.tcgetattr(self._fd)
            atexit.register(self._restore)
            tty.setraw(self._fd, termios.TCSADRAIN)
        if told is not None:
            self._following = asyncio.create_task(self._follow(process, told))

    def end(self) -> None:
        """It is this program's again. Legal in every state."""
        if self._fd < 0:
            return
        if self._following is not None:
            self._following.cancel()
        self._restore()
        atexit.unregister(self._restore)
        os.close(self._fd)
        self._fd = -1

    def _restore(self) -> None:
        if self._before is not None:
            with suppress(termios.error):  # it hung up
                termios.tcsetattr(self._fd, termios.TCSANOW, self._before)
            self._before = None

    async def _follow(self, process: Process, told: TerminalSize) -> None:
        while True:
            if (now := self.size) is not None and now != told:
                try:
                    await process.resize(now.rows, now.cols)
                except Exception:  # whoever waits for the process sees why it is gone
                    return
                told = now
            await asyncio.sleep(_LOOK_S)
